// A walk of a store's files that knows the format and none of the store's code: superblock, tables, map, segments,
// payload. For a store at rest after a checkpoint, everything must add up.
#pragma once
#include <string>

#include "block_history.h"
#include "disk/fake_medium.h"

namespace galleonfs::crash {

// Empty, or the first thing that does not add up:
//   every page reached by its hash, once; the page bitmap says exactly the pages reached and the pages pending
//   every location of the map names a slot of a known segment, whose entry and payload are whole and of that block
//   live counts of the segment table are those of the map; segments without a live slot are gone, but the active one
//   no two segments share slots of a file; no pending file is in use; every segment file has its full length
//   the blocks of `expected` hold what it says, all others nothing
std::string walk_store(const disk::FakeMedium& medium, const std::map<uint64_t, Contents>& expected);

}  // namespace galleonfs::crash
