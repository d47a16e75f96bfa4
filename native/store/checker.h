// One run of a check: everything that a store's superblocks reach, held against each other and against the medium.
//
// In this order, each step relying on those before: superblocks; their tables; the directory; the journal after the
// checkpoint, put over the map as recovery would; the map, page by page, which says what is live; the pages and counts
// that follow from it; then the segments in the order they lie on the disk, every live block against its entry and tag.
// The map and the segments are compared by sums, a segment at a time, so that neither has to be held in memory; where
// they differ, or a block is bad, the map is walked once more to tell which logical block it is.
#pragma once
#include <functional>
#include <map>
#include <unordered_map>
#include <vector>

#include "../disk/aligned_buffer.h"
#include "../disk/disk.h"
#include "check.h"
#include "delta.h"
#include "repair_plan.h"
#include "segment.h"
#include "segment_table.h"
#include "summary.h"
#include "superblock.h"

namespace galleonfs::store {

class Checker {
 public:
  Checker(disk::Disk& disk, CheckProgress& progress, CheckReport& report, RepairPlan& plan);
  Failure run();

 private:
  // What one superblock leads to.
  struct Tables {
    RawSuperblock superblock;
    PersistedTable table;
    std::vector<uint64_t> used_words, pending_pages;
    std::vector<DeltaEntry> stragglers;
    std::vector<uint64_t> table_pages, bitmap_pages, straggler_pages;
  };
  struct Segment {
    RawSegmentRecord record;
    bool in_table = false;
    bool active = false;
    bool replayed = false;             // the journal after the checkpoint is, or may be, in it
    bool headed = false;               // base_lsn is known
    uint64_t base_lsn = 0;
    uint32_t counted = 0;              // locations in map pages and stragglers: what its liveness count must be
    uint32_t live = 0;                 // blocks that would be read from it
    std::vector<uint64_t> live_slots;  // a bit a slot
    uint64_t map_sum = 0;              // over (block, slot) of those, by the map
  };
  enum class Fault : uint8_t { entry, payload, unreadable, slot };
  struct Problem {
    uint32_t slot = 0;
    uint32_t physical = 0;
    Fault fault = Fault::entry;
    int error = 0;
  };
  struct Hurt {
    Segment* segment = nullptr;
    std::vector<Problem> problems;
    std::vector<uint64_t> blocks;  // by slot, once resolved
  };

  // check.cc
  Failure read_superblocks();
  Failure list_files();
  void check_table();
  void find(Severity severity, Damage place, std::string repair = {});
  bool going() const { return !progress_.cancelled.load(std::memory_order_relaxed); }
  Segment* segment_of(uint64_t id);
  int read(disk::File& file, uint64_t offset, void* into, size_t length);
  void plan_tables();

  // check_pages.cc
  bool load_tables(const RawSuperblock& superblock, Tables* tables, std::string* problem, Damage* place);
  bool read_chain(const PagePointer& first, std::vector<std::byte>* bytes, std::vector<uint64_t>* pages, Damage* place);
  bool read_page(const PagePointer& pointer, std::byte* into);
  void claim(uint64_t page, const char* kind, uint64_t volume_offset);
  void claim_tables();
  void check_older();
  void check_older_tree(const PagePointer& pointer, const PagePointer& newer, uint32_t level);
  void account_pages();

  // check_map.cc
  // Every location of the effective map, in the order of blocks; `in_pages` also gets those of the pages alone. Findings are
  // made at the first walk only.
  using Visit = std::function<void(uint64_t block, Location location)>;
  void walk(const Visit& effective, const Visit& in_pages);
  void walk_subtree(const PagePointer& pointer, uint32_t level, uint64_t first_leaf);
  void leaf(uint64_t leaf, const uint64_t* raw);
  void leaves_before(uint64_t leaf);
  void check_map();
  void check_liveness();
  void mark_live(uint64_t block, Location location);

  // check_journal.cc
  void check_journal();
  struct Tail;
  using DurableLsns = std::map<uint64_t, uint64_t>;  // as in recovery.cc
  bool gap_before(const Tail* previous, const Tail& tail, const DurableLsns& durable) const;
  void replay(Tail& tail, uint64_t durable);
  bool apply_record(const std::byte* block, Location location);

  // check_segments.cc
  void check_segments();
  void check_file(uint32_t number, std::vector<Segment*>& segments);
  void check_headers(disk::File& file, std::vector<Segment*>& segments);
  void check_segment(disk::File& file, Segment& segment);
  void check_payload(disk::File& file, Segment& segment, std::span<const RawEntry> entries,
                     const std::vector<std::pair<uint32_t, uint32_t>>& slots, Hurt* hurt);
  bool load_index(const Segment& segment, std::byte* page);
  void check_order();
  void resolve();
  void resolve_segment(Hurt& hurt);
  void resolve_problem(Hurt& hurt, const Problem& problem, disk::File* file);
  Damage place_of(const Segment& segment, uint32_t slot, uint32_t physical, bool payload, uint64_t block) const;
  uint64_t payload_offset_of(const Segment& segment, uint32_t physical) const;

  disk::Disk& disk_;
  CheckProgress& progress_;
  CheckReport& report_;
  RepairPlan& plan_;

  std::unique_ptr<disk::File> map_file_;
  uint64_t map_file_pages_ = 0;
  Tables base_;                // what opening would use
  std::unique_ptr<Tables> older_;  // the other superblock's, where it is whole
  uint32_t block_size_ = 0, block_shift_ = 0;
  uint64_t blocks_ = 0, payload_at_ = 0, file_bytes_ = 0;

  std::unordered_map<uint32_t, uint64_t> files_;  // segment files in the directory, and their lengths
  std::vector<Segment> segments_;
  std::unordered_map<uint64_t, size_t> segment_index_;
  size_t last_segment_ = SIZE_MAX;
  Delta delta_;
  std::unordered_map<uint64_t, RawEntry> mended_;  // by location: entries of the journal's tail that replay puts right

  std::vector<bool> reached_, reached_by_older_;  // map pages
  bool pages_lost_ = false;                       // a page cannot be read, so what it reaches is not known
  bool first_walk_ = true;
  struct Walk {
    const Visit* effective = nullptr;
    const Visit* in_pages = nullptr;
    std::vector<uint64_t> delta_leaves;
    size_t next_delta_leaf = 0;
  } walk_;
  std::vector<disk::AlignedBuffer> level_pages_;
  disk::AlignedBuffer payload_;

  std::vector<Hurt> hurt_;
  size_t problems_kept_ = 0;
};

// A place in the map file; `volume_offset`: UINT64_MAX where none is meant.
Damage in_map(const char* kind, uint64_t page, uint64_t volume_offset, std::string detail);

}  // namespace galleonfs::store
