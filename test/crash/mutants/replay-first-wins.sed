# files: recovery.cc
# Replay keeps the first entry of a block that it meets, not the newest.
s/^( *)delta_\.publish\(entry->block, 1, (Location\(header\.segment_id, slot\))\);/\1Location held;\n\1bool known = false;\n\1(void)delta_.lookup(entry->block, 1, \&held, \&known, [] {});\n\1if (!known) delta_.publish(entry->block, 1, \2);/
