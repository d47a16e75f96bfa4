# files: recovery.cc
# The durable LSN of one opening is taken to cover the slots that an earlier one left void.
s/durable\.(try_emplace|at)\((segment\.)?header\.opening_lsn/durable.\1(0/
s/durable\.at\(previous->header\.opening_lsn\)/durable.at(0)/
