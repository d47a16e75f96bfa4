# files: compaction.cc
# The file that segments were compacted into is named by a checkpoint before it is durable.
s/^  if \(error == 0\) error = file->sync\(\);//
