# files: journal.cc recovery.cc
# A recycled file keeps its salt and its old summary, and replay does not compare LSNs: stale entries validate.
s/^  random_\(&segment->salt, sizeof segment->salt\);//
s/^(  const uint64_t summary_end = )kSummaryOffset.*$/\1kSummaryOffset;/
s/!entry\.has_value\(\) \|\| entry->lsn != lsn/!entry.has_value()/
