// The store's parts put together. The way of a write, of a read and of a checkpoint is in the .cc files named after them.
//
// Locks, in the order they are taken:
//   checkpoint_mutex_   one checkpoint or compaction at a time; guards superblock_, chains, table counts, map allocation
//   ranges_             writers and discards of the same blocks
//   Journal             commit mutex, then its mutex
//   Delta shard, SegmentTable, SegmentFiles, PageCache shard   leaves: none is held while another is taken, but
//                       SegmentTable, SegmentFiles and the background mutex under the Journal's when a segment is opened
// Readers hold only an epoch guard and, for moments, leaf locks.
#pragma once
#include <map>
#include <thread>
#include <unordered_set>

#include "budget.h"
#include "damage_log.h"
#include "delta.h"
#include "epochs.h"
#include "journal.h"
#include "map_tree.h"
#include "operation_meter.h"
#include "range_lock.h"
#include "segment_table.h"
#include "store.h"
#include "summary.h"
#include "superblock.h"

namespace galleonfs::store {

class VolumeStore final : public Store {
 public:
  VolumeStore(std::unique_ptr<disk::Disk> disk, std::unique_ptr<disk::File> superblock_file,
              std::unique_ptr<disk::File> map_file, const RawSuperblock& superblock, const OpenOptions& options,
              const Environment& environment);
  ~VolumeStore() override;

  uint64_t size_bytes() const noexcept override { return size_bytes_; }
  uint32_t block_size_bytes() const noexcept override { return block_size_; }
  uint64_t allocated_bytes() const noexcept override;
  bool read_only() const noexcept override { return options_.read_only || failed_.load(std::memory_order_acquire); }
  int read(uint64_t offset, std::byte* into, size_t length) noexcept override;
  int write(uint64_t offset, const std::byte* from, size_t length, bool durable) noexcept override;
  int flush() noexcept override;
  int discard(uint64_t offset, uint64_t length) noexcept override;
  int seek(uint64_t offset, bool want_data, uint64_t* found) noexcept override;

  Failure close() override;
  Failure checkpoint() override;
  Failure compact(double live_share_max, uint64_t* rewritten_bytes) override;
  void step(bool idle) override { (void)maintain(idle); }
  Failure scrub(ScrubPosition* position, uint64_t bytes_max, ScrubStep* step) override;
  Stats stats() const override;
  RecoveryReport recovery() const override { return recovery_; }
  std::vector<Damage> damage() const override { return damage_.found(); }
  std::array<uint8_t, 16> volume_id() const override { return volume_id_; }

  // recovery.cc: loads the state of the superblock, which is in `slot`, and replays what came after. `heal`: the other
  // slot is bad, so write it anew. On failure nothing on disk was changed.
  Failure recover(int slot, bool heal);
  void note_superblocks(const Superblocks& superblocks, bool used_older);
  void start_background();
  // After a failed recover(): the disk, still locked, for another attempt.
  std::unique_ptr<disk::Disk> give_disk_back() {
    closed_ = true;  // nothing was changed on disk, and nothing may be
    return std::move(disk_);
  }

 private:
  friend class Scrubber;
  // A run of source bytes for consecutive whole blocks.
  struct Piece {
    const std::byte* from = nullptr;
    uint64_t blocks = 0;
  };
  // What a checkpoint captured while nothing was in flight.
  struct Frozen {
    uint64_t lsn = 0;
    uint64_t next_lsn = 0;
    uint64_t next_segment_id = 0;
    uint64_t active_segment_id = 0;
  };

  // read.cc
  int check_range(uint64_t offset, uint64_t length) const noexcept;
  int read_aligned(uint64_t first, uint64_t count, std::byte* into) noexcept;
  int read_block(uint64_t block, std::byte* into) noexcept { return read_aligned(block, 1, into); }
  int lookup(uint64_t first, uint64_t count, Location* out) noexcept;
  int read_run(uint64_t first, const Location* locations, uint64_t count, std::byte* into) noexcept;
  int physical_slot(const SegmentView& view, uint32_t slot, uint32_t* physical, uint64_t block) noexcept;
  // The summary entries of one segment, a page at a time.
  struct SummaryPage {
    uint64_t number = UINT64_MAX;
    PageCache::Ref cached;
    alignas(16) RawEntry own[kEntriesPerPage];  // where the cache had no room
    const RawEntry* entries = nullptr;
  };
  int read_entry(const SegmentView& view, uint32_t physical, uint64_t block, SummaryPage* page,
                 std::optional<Entry>* entry) noexcept;
  int read_summary_page(const SegmentView& view, uint64_t number, uint32_t physical, uint64_t block,
                        SummaryPage* page) noexcept;
  int read_payload(const SegmentView& view, uint32_t physical, uint32_t count, std::byte* into) noexcept;
  bool verify(const SegmentView& view, uint32_t physical, uint32_t slot, uint64_t block, const std::byte* bytes,
              SummaryPage* page) noexcept;

  // write.cc
  // `done`: bytes from the start that were written, also when it fails.
  int write_chunk(uint64_t offset, const std::byte* from, size_t length, Purpose purpose, size_t* done) noexcept;
  int append(uint64_t block, const Piece* pieces, size_t piece_count, Purpose purpose, uint64_t* appended) noexcept;
  int write_extent(const Extent& extent, uint64_t block, const std::byte* from) noexcept;
  int append_discard(uint64_t first, uint64_t end) noexcept;
  int fail_stop(const char* doing, int error) noexcept;
  int refused(int error) noexcept;

  // pacing.cc
  uint64_t log_entries() const noexcept;
  bool checkpoint_due() const noexcept;
  bool log_is_full() const noexcept;
  void wait_for_room() noexcept;
  void limit_undurable() noexcept;

  // space.cc
  uint64_t pages_needed(uint64_t leaves) const noexcept;
  int admit(uint64_t blocks, Purpose purpose) noexcept;
  void admit_anew() noexcept;
  bool has_room(Purpose purpose) noexcept;
  int make_room(Purpose purpose) noexcept;
  int checkpoint_until_room(Purpose purpose) noexcept;
  int end_segment() noexcept;
  int evacuate(const SegmentView& view) noexcept;
  int evacuate_thinnest(bool* moved) noexcept;
  int move_block(uint64_t block, Location from) noexcept;

  // checkpoint.cc
  Failure checkpoint_locked();
  Failure build_checkpoint(const Frozen& frozen, RawSuperblock* next, TreeRoot* root, std::vector<DeltaEntry>* stragglers,
                           std::unordered_map<uint64_t, int64_t>* live_change);
  void choose_merges(std::vector<DeltaEntry>& all, std::vector<DeltaEntry>* merged, std::vector<DeltaEntry>* kept) const;
  int persist_table(const Frozen& frozen, const std::unordered_map<uint64_t, int64_t>& live_change, RawSuperblock* next,
                    std::vector<uint64_t>* pages);
  void seal_views(const Frozen& frozen);
  void set_root(const TreeRoot& root);
  void background();
  bool maintain(bool idle);
  void kick();

  // compaction.cc
  // Until `bytes_max` were rewritten or `keep_going` says no, asked now and then.
  Failure compact_locked(double live_share_max, uint64_t bytes_max, const std::function<bool()>& keep_going,
                         uint64_t* rewritten_bytes);
  int compact_segments(const std::vector<const SegmentView*>& victims, uint64_t* rewritten_bytes);
  // A file whose segments are all sealed, and how many of its slots are live.
  struct ThinFile {
    std::vector<const SegmentView*> views;
    uint64_t live = 0;
  };
  std::vector<ThinFile> thin_files(double live_share_max);
  std::vector<uint32_t> live_slots(const SegmentView& view, std::vector<Entry>* entries);

  // recovery.cc
  struct ReplaySegment {
    RawSegmentHeader header;
    std::shared_ptr<disk::File> file;
    std::vector<RawEntry> entries;
    std::vector<uint32_t> repaired;  // slots whose entry is to be written again
  };
  Failure load_state();
  Failure find_replay_segments(std::vector<ReplaySegment>* segments, std::vector<std::string>* cut_short);
  Failure replay(std::vector<ReplaySegment>& segments);
  // The LSN up to which everything an opening (by its first LSN) issued was durable.
  using DurableLsns = std::map<uint64_t, uint64_t>;
  DurableLsns durable_lsns(const std::vector<ReplaySegment>& segments) const;
  Failure check_no_gap(const ReplaySegment* previous, const ReplaySegment& segment, const DurableLsns& durable) const;
  Failure replay_segment(ReplaySegment& segment, uint64_t durable);
  Failure durable_lost(const ReplaySegment& segment, const std::string& what) const;
  void note_replay_damage(const ReplaySegment& segment, uint32_t slot, const char* kind, std::string detail);
  int apply_record(const std::byte* block, Location location);

  std::unique_ptr<disk::Disk> disk_;
  const std::unique_ptr<disk::File> superblock_file_;
  const OpenOptions options_;
  const Environment environment_;
  const uint64_t size_bytes_;
  const uint32_t block_size_;
  const uint32_t block_shift_;
  const uint64_t blocks_;
  const uint64_t payload_at_;
  const uint32_t slots_;  // a segment
  const std::array<uint8_t, 16> volume_id_;
  Budget::Share share_;

  DamageLog damage_;
  CacheCounters cache_counters_;
  Epochs epochs_;
  SegmentFiles files_;
  SegmentTable table_;
  MapFile map_file_;
  MapTree tree_;
  Delta delta_;
  RangeLock ranges_;
  Journal journal_;
  std::atomic<const TreeRoot*> root_;

  std::mutex checkpoint_mutex_;
  RawSuperblock superblock_;  // the newest durable one
  int superblock_slot_ = 0;   // where it is
  std::vector<uint64_t> table_pages_, bitmap_pages_, straggler_pages_;
  std::atomic<uint64_t> checkpoint_lsn_{0};
  std::atomic<uint64_t> live_slots_{0};
  std::atomic<uint64_t> used_slots_{0};  // physical slots of all segments
  std::atomic<uint64_t> checkpoints_{0}, compacted_bytes_{0};
  bool compacted_since_checkpoint_ = false;
  int idle_rounds_ = 0;
  uint64_t flushes_seen_ = 0;
  uint64_t checkpoint_bytes_ = 0;  // log bytes that call for a checkpoint

  // Low bits: leaves that the delta may touch before the map's room is looked at again. High bits: how often it changed.
  std::atomic<uint64_t> admission_{0};
  static constexpr uint64_t kAdmittedMask = (1ULL << 40) - 1;
  uint64_t no_room_since_[2] = {UINT64_MAX, UINT64_MAX};  // last LSN when make_room() found nothing, by purpose

  std::atomic<int> refusal_{0};  // errno of the last write that found no space, descriptor or memory; 0: it found all
  std::atomic<bool> failed_{false};
  std::atomic<bool> closed_{false};
  std::atomic<bool> checkpoint_blocked_{false};  // the last one failed for want of space
  mutable std::mutex reason_mutex_;
  std::string failed_reason_;

  std::thread background_;
  std::mutex background_mutex_;  // guards the three below
  std::condition_variable wake_, room_;
  bool stopping_ = false;
  bool kicked_ = false;
  std::atomic<bool> flush_wanted_{false};
  std::atomic<bool> watching_{false};  // the background looks again by itself; else a write must wake it
  std::atomic<uint64_t> operations_seen_{0};

  std::mutex scrub_mutex_;  // guards scrubbed_segment_; taken before every other
  std::unique_ptr<struct ScrubbedSegment> scrubbed_segment_;
  std::atomic<uint64_t> scrubbed_bytes_{0}, scrub_finds_{0}, scrub_healed_{0};

  OperationMeter read_meter_, write_meter_, flush_meter_, discard_meter_;
  RecoveryReport recovery_;
};

// Leaves with so many updates or fewer may wait as stragglers.
constexpr size_t kStragglerEntriesPerLeafMax = 3;
constexpr size_t kStragglersMax = 128 << 10;
// What writers in flight may add to the delta's leaves beyond what they asked for.
constexpr uint64_t kInFlightLeaves = 64;

Failure failure(int error, const char* code, std::string detail);

}  // namespace galleonfs::store
