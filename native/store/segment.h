// A segment as the running store sees it.
//   OpenSegment   being filled, or filled since the last checkpoint: its summary is kept in memory
//   SegmentView   how readers reach a segment behind its id; immutable, replaced as a whole, reclaimed by epochs
#pragma once
#include <atomic>
#include <memory>
#include <vector>

#include "../disk/disk.h"
#include "format.h"

namespace galleonfs::store {

struct OpenSegment {
  OpenSegment() = default;
  ~OpenSegment() {
    if (file != nullptr) file->end_small_writes();
  }
  OpenSegment(const OpenSegment&) = delete;
  OpenSegment& operator=(const OpenSegment&) = delete;

  uint64_t id = 0;
  uint32_t file_number = 0;
  uint32_t slots = 0;
  uint64_t base_lsn = 0;  // LSN of slot 0
  Salt salt;
  std::shared_ptr<disk::File> file;
  uint32_t next_slot = 0;         // guarded by the journal's mutex
  std::vector<RawEntry> entries;  // entry i is written by the owner of slot i before the slot is published
  std::atomic<uint64_t> unwritten_back{0};  // payload bytes since writeback was last started

  uint64_t last_lsn() const { return base_lsn + slots - 1; }
  bool for_discards = false;      // took the last free file; guarded by the journal's mutex
  bool full() const { return next_slot == slots; }
};

struct SegmentView {
  uint64_t id = 0;
  uint32_t file_number = 0;
  uint32_t base_slot = 0;  // first physical slot of its part
  uint32_t slots = 0;      // physical slots of its part
  PagePointer index;       // slot index of a compacted segment
  Salt salt;
  uint64_t cache_file = 0;            // page cache identity of this life of the summary
  std::shared_ptr<OpenSegment> open;  // null once its summary may be read from the file
};

// A compacted segment's slot index, one page: group g covers slots 512 g .. 512 g + 511.
//   g * 68      4   live slots before this group
//   g * 68 + 4  64  bitmap of live slots
constexpr uint32_t kIndexGroupSlots = 512;
constexpr uint32_t kIndexGroupBytes = 68;
static_assert(kSlotsMax / kIndexGroupSlots * kIndexGroupBytes <= kPageBytes);

// Builds the page from the sorted original slots kept.
void build_slot_index(const std::vector<uint32_t>& slots, std::byte* page);
// Physical position of an original slot, or -1 if compaction dropped it.
int64_t find_in_slot_index(const std::byte* page, uint32_t slot);

RawSegmentHeader seal_segment_header(RawSegmentHeader header);
bool valid_segment_header(const RawSegmentHeader& header);

}  // namespace galleonfs::store
