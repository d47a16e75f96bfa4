// One step of a scrub (see scrub.h).
#pragma once
#include <optional>

#include "../disk/aligned_buffer.h"
#include "scrub.h"
#include "volume_store.h"

namespace galleonfs::store {

// The segment a scrub is in, kept from step to step. Good as long as the view it was loaded from is.
struct ScrubbedSegment {
  uint64_t id = 0;
  uint64_t life = 0;                // the view's cache_file
  bool as_sealed = false;           // the summary is what it was when it was sealed: entries that are void were so then
  std::vector<RawEntry> entries;    // by physical slot; of an open segment, those settled when it was loaded
  std::vector<std::byte> index;     // of a compacted segment
  // While nothing is written the table knows how many slots are live. Fewer found: the map names slots whose entries are
  // of other blocks.
  std::optional<uint32_t> live_expected;
  uint32_t live_found = 0;
  uint64_t at_lsn = 0;
};

class Scrubber {
 public:
  Scrubber(VolumeStore& store, ScrubPosition& position, ScrubStep& step, uint64_t bytes_max)
      : store_(store), position_(position), step_(step), bytes_max_(bytes_max), buffer_(kBufferBytes) {}
  Failure run();

 private:
  static constexpr size_t kBufferBytes = 1 << 20;
  struct Slot {
    uint32_t slot = 0;
    uint32_t physical = 0;
    Entry entry;
  };

  bool budget_left() const { return step_.done_bytes < bytes_max_; }
  bool may_heal() const { return !store_.read_only(); }
  void found(Damage place, std::string healed);
  Damage place_of(const SegmentView& view, uint32_t slot, uint32_t physical, bool payload, uint64_t block) const;

  // scrub_tables.cc
  void tables();
  void superblocks();
  bool chain_good(const PagePointer& first, const char* what);
  void map();
  bool subtree(const PagePointer& pointer, uint32_t level, uint64_t first_leaf);
  void page_bad(const PagePointer& pointer, const char* kind, uint64_t volume_offset, int error);
  void suspects_in(uint64_t leaf);
  void suspect_live(uint64_t segment, uint32_t slot, uint64_t block);
  void suspects_in_delta();

  // scrub_segments.cc
  void segments();
  bool load(const SegmentView& view, const SegmentState& state);
  void check_count(const SegmentView& view);
  void check_headers(const SegmentView& view, disk::File& file);
  bool check_index(const SegmentView& view);
  void check_open_entries(const SegmentView& view, disk::File& file, std::vector<RawEntry>& on_disk, uint32_t settled);
  void check_slots(const SegmentView& view);
  void check_payload(const SegmentView& view, disk::File& file, const std::vector<Slot>& slots);
  void payload_bad(const SegmentView& view, disk::File& file, const Slot& slot, int error);
  void entry_bad(const SegmentView& view, disk::File& file, uint32_t slot, uint32_t physical);
  bool is_live(uint64_t block, uint64_t segment, uint32_t slot);
  bool write_entry(const SegmentView& view, disk::File& file, uint32_t physical, const RawEntry& entry);
  int open(const SegmentView& view, std::shared_ptr<disk::File>* file);
  std::optional<uint32_t> physical_of(const SegmentView& view, uint32_t slot) const;

  VolumeStore& store_;
  ScrubPosition& position_;
  ScrubStep& step_;
  const uint64_t bytes_max_;
  disk::AlignedBuffer buffer_;
  bool advanced_ = false;  // this step got on in the map: the nodes on the way alone are no progress
};

}  // namespace galleonfs::store
