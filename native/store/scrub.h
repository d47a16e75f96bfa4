// Verifies an open store against the medium, a step at a time, beside everything else it does: superblocks and tables;
// every live block of every segment, in the order of the disk; every page of the map.
//
// Reads go past the page cache: rot is on the medium, and a cached page would hide it (nor do they fill the cache).
//
// Invariants: a step holds one epoch guard while it reads, so what it looks at is neither recycled nor rewritten, however
// much is overwritten, compacted or checkpointed meanwhile; and what it finds is held against the map again, and read
// again, before it is reported. The checkpoint mutex is taken for moments only, and never under the guard.
// What is healed is written past the cache, by a descriptor of its own, and never synced: a sync here could take an error
// away from the flush that must see it.
// Segments opened after the scrub began are younger than it and left to the next one, so it ends under any load.
#pragma once
#include <vector>

#include "store.h"

namespace galleonfs::store {

enum class ScrubPhase : uint8_t { tables, segments, map, done };

// Where a scrub is; all there is to know to go on, also after a restart.
struct ScrubPosition {
  ScrubPhase phase = ScrubPhase::tables;
  uint64_t at = 0;           // the segment's id, or the leaf of the map
  uint32_t slot = 0;         // of the segment
  uint64_t end_segment = 0;  // the first that is younger than the scrub
  // Slots whose entry is lost, so that only the map can tell whether a block, and which one, is in them: (segment, slot).
  std::vector<std::pair<uint64_t, uint32_t>> suspects;
};

struct ScrubFind {
  Damage place;
  std::string healed;  // from which copy it was put right; empty: it was not
};

struct ScrubStep {
  uint64_t done_bytes = 0;   // read and verified in this step
  uint64_t total_bytes = 0;  // of a whole scrub, as of now
  std::vector<ScrubFind> finds;
};

}  // namespace galleonfs::store
