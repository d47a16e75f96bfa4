// The way of a checkpoint, in this order: nothing in flight, choose LSN C and freeze the delta; make the data up to C
// durable; merge the delta into new map pages; write and sync pages and tables; write the older superblock; switch readers
// over; give back what neither superblock reaches.
#include <malloc.h>
#include <pthread.h>
#include <sys/prctl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "volume_store.h"

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

namespace galleonfs::store {
namespace {


constexpr auto kIdle = std::chrono::milliseconds(1000);
// Rounds of rest after which compaction takes what it can get, and after which free files are given back to the file system.
constexpr int kCompactIdleRounds = 3;
constexpr int kTrimIdleRounds = 30;
// Physical space over live space beyond which compaction starts. Under load much of what is half dead will soon be dead
// by itself, and bandwidth is short; at rest space is worth more.
constexpr double kBusySpaceFactor = 3.0;
constexpr double kIdleSpaceFactor = 1.2;
constexpr uint64_t kCompactStepBytes = 64 << 20;

}  // namespace

Failure VolumeStore::checkpoint() {
  const std::lock_guard lock(checkpoint_mutex_);
  if (closed_) return failure(ESHUTDOWN, "STORE_CLOSED", "the store is closed");
  if (read_only()) return failure(EROFS, "STORE_READ_ONLY", "the store is read-only");
  return checkpoint_locked();
}

Failure VolumeStore::checkpoint_locked() {
  Frozen frozen;
  map_file_.begin();
  files_.begin();
  journal_.freeze([&] {
    frozen.lsn = journal_.issued_lsn();
    frozen.next_lsn = frozen.lsn + 1;
    frozen.next_segment_id = journal_.next_segment_id();
    frozen.active_segment_id = journal_.active_segment_id();
    delta_.freeze();
  });
  if (const int error = journal_.flush()) {
    fail_stop("fdatasync of the journal", error);
    return failure(EIO, "STORE_IO", "the journal could not be made durable; the volume is read-only now");
  }
  RawSuperblock next = superblock_;
  TreeRoot root;
  std::vector<DeltaEntry> stragglers;
  std::unordered_map<uint64_t, int64_t> live_change;
  Failure failed = build_checkpoint(frozen, &next, &root, &stragglers, &live_change);
  checkpoint_blocked_ = static_cast<bool>(failed);
  if (failed) {
    map_file_.rolled_back();
    files_.rolled_back();
    delta_.unfreeze();
    admit_anew();
    if (failed.error != ENOSPC) fail_stop("writing a checkpoint", failed.error);
    return failed;
  }
  const int slot = 1 - superblock_slot_;
  if (const int error = write_superblock(*superblock_file_, next, slot)) {
    // It may or may not be on disk: nothing that either one reaches may be touched any more.
    fail_stop("writing a superblock", error);
    return failure(EIO, "STORE_IO", "a superblock could not be written; the volume is read-only now");
  }
  superblock_ = next;
  superblock_slot_ = slot;

  auto& states = table_.states();
  uint64_t live = live_slots_;
  for (const auto& [id, change] : live_change) {
    const auto state = states.find(id);
    if (state == states.end()) continue;  // only after damage to the map
    state->second.live = static_cast<uint32_t>(std::max<int64_t>(0, int64_t{state->second.live} + change));
    live += static_cast<uint64_t>(change);
  }
  live_slots_ = live;
  map_file_.committed(epochs_);
  map_file_.settle();  // before thaw(): what was merged must not be admitted again on the room it has taken
  set_root(root);  // before thaw(): a reader that no longer finds an entry in the delta must find it in the map
  delta_.thaw(stragglers);
  seal_views(frozen);
  uint64_t used = 0;
  for (const SegmentView* view : table_.views()) {
    if (view->id >= frozen.next_segment_id || view->id == frozen.active_segment_id || states[view->id].live > 0) {
      used += view->slots;
    } else {
      table_.erase(view->id);
    }
  }
  used_slots_ = used;
  files_.committed(epochs_);
  (void)epochs_.collect();
  map_file_.settle();
  admit_anew();
  checkpoint_lsn_ = frozen.lsn;
  share_.report(log_entries());
  compacted_since_checkpoint_ = false;
  checkpoints_++;
  {
    const std::lock_guard lock(background_mutex_);
  }
  room_.notify_all();
  return {};
}

Failure VolumeStore::build_checkpoint(const Frozen& frozen, RawSuperblock* next, TreeRoot* root,
                                      std::vector<DeltaEntry>* stragglers,
                                      std::unordered_map<uint64_t, int64_t>* live_change) {
  const auto io_failure = [](int error) {
    return error == ENOSPC ? failure(ENOSPC, "STORE_NO_SPACE", "no space for the pages of a checkpoint")
                           : failure(error, "STORE_IO", std::string("writing a checkpoint: ") + std::strerror(error));
  };
  const std::vector<DeltaEntry> fresh = delta_.frozen_entries();
  const std::vector<LeafRange> ranges = delta_.frozen_ranges();
  for (const DeltaEntry& entry : fresh) {
    if (!entry.location.hole()) (*live_change)[entry.location.segment()]++;
  }
  const auto dead = [&](Location location) {
    if (!location.hole()) (*live_change)[location.segment()]--;
  };
  // Older stragglers that were neither replaced nor discarded wait on, beside the fresh entries.
  std::vector<DeltaEntry> all;
  auto newer = fresh.begin();
  for (const DeltaEntry& old : delta_.stragglers()) {
    while (newer != fresh.end() && newer->block < old.block) all.push_back(*newer++);
    const bool replaced = newer != fresh.end() && newer->block == old.block;
    const uint64_t leaf = old.block >> kLeafShift;
    const bool discarded = std::any_of(ranges.begin(), ranges.end(), [leaf](const LeafRange& range) {
      return range.first_leaf <= leaf && leaf < range.end_leaf;
    });
    if (replaced || discarded) {
      dead(old.location);
    } else {
      all.push_back(old);
    }
  }
  all.insert(all.end(), newer, fresh.end());

  std::vector<DeltaEntry> merged;
  choose_merges(all, &merged, stragglers);
  next->generation = superblock_.generation + 1;
  const TreeRoot* current = root_.load();
  const MapTree::Merge merge{merged, ranges, next->generation, dead, stragglers};
  if (const int error = tree_.merge(*current, merge, root)) return io_failure(error);
  std::sort(stragglers->begin(), stragglers->end(), [](const DeltaEntry& a, const DeltaEntry& b) { return a.block < b.block; });

  next->map_root = root->pointer;
  next->checkpoint_lsn = frozen.lsn;
  next->next_lsn = frozen.next_lsn;
  next->next_segment_id = frozen.next_segment_id;
  next->active_segment_id = frozen.active_segment_id;
  next->next_file_number = files_.next_number();
  std::vector<uint64_t> table_pages;
  if (const int error = persist_table(frozen, *live_change, next, &table_pages)) return io_failure(error);
  for (const uint64_t page : straggler_pages_) map_file_.free_page(page);
  std::vector<uint64_t> straggler_pages;
  if (const int error = map_file_.write_chain(std::as_bytes(std::span(*stragglers)), next->generation, &next->stragglers,
                                              &straggler_pages)) {
    return io_failure(error);
  }
  std::vector<uint64_t> bitmap_pages;
  if (const int error = map_file_.write_bitmap(next->generation, bitmap_pages_, &next->page_bitmap, &bitmap_pages)) {
    return io_failure(error);
  }
  next->map_pages = map_file_.pages();
  if (const int error = map_file_.sync()) return io_failure(error);
  table_pages_ = std::move(table_pages);
  straggler_pages_ = std::move(straggler_pages);
  bitmap_pages_ = std::move(bitmap_pages);
  return {};
}

// Leaves with many updates are worth a page. Of the others so many may wait that the delta stays bounded.
void VolumeStore::choose_merges(std::vector<DeltaEntry>& all, std::vector<DeltaEntry>* merged,
                                std::vector<DeltaEntry>* kept) const {
  const auto leaf_end = [&](size_t from) {
    size_t end = from + 1;
    while (end < all.size() && all[end].block >> kLeafShift == all[from].block >> kLeafShift) end++;
    return end;
  };
  size_t leaves = 0;
  size_t by_count[kStragglerEntriesPerLeafMax + 1] = {};
  for (size_t i = 0; i < all.size(); i = leaf_end(i)) {
    leaves++;
    if (const size_t n = leaf_end(i) - i; n <= kStragglerEntriesPerLeafMax) by_count[n] += n;
  }
  // Never less than wait already: to merge those would need map pages that nobody has reserved (see pages_needed()).
  const size_t stragglers_max = std::min<size_t>(kStragglersMax, std::max<size_t>(share_.stragglers(), delta_.straggler_count()));
  size_t keep_up_to = 0;
  size_t waiting = 0;
  while (leaves > options_.leaves_merged_whole && keep_up_to < kStragglerEntriesPerLeafMax &&
         waiting + by_count[keep_up_to + 1] <= stragglers_max) {
    waiting += by_count[++keep_up_to];
  }
  // Leaves with a single update are the least worth merging: as many as fit wait even when not all do.
  size_t room = leaves > options_.leaves_merged_whole ? stragglers_max - waiting : 0;
  for (size_t i = 0; i < all.size();) {
    const size_t end = leaf_end(i);
    const size_t n = end - i;
    bool keep = n <= keep_up_to;
    if (!keep && n == keep_up_to + 1 && n <= kStragglerEntriesPerLeafMax && n <= room) {
      keep = true;
      room -= n;
    }
    std::vector<DeltaEntry>* to = keep ? kept : merged;
    to->insert(to->end(), all.begin() + static_cast<ptrdiff_t>(i), all.begin() + static_cast<ptrdiff_t>(end));
    i = end;
  }
}

int VolumeStore::persist_table(const Frozen& frozen, const std::unordered_map<uint64_t, int64_t>& live_change,
                               RawSuperblock* next, std::vector<uint64_t>* pages) {
  PersistedTable persisted;
  std::unordered_map<uint32_t, uint32_t> freed_users;
  for (const SegmentView* view : table_.views()) {
    if (view->id >= frozen.next_segment_id) continue;  // opened since: found by its header
    SegmentState& state = table_.states()[view->id];
    const auto change = live_change.find(view->id);
    const int64_t live = int64_t{state.live} + (change == live_change.end() ? 0 : change->second);
    const bool active = view->id == frozen.active_segment_id;
    if (live <= 0 && !active) {
      if (view->index) map_file_.free_page(view->index.page);
      if (++freed_users[view->file_number] == table_.users(view->file_number)) files_.free_at_checkpoint(view->file_number);
      continue;
    }
    if (state.summary_hash == 0 && !active && view->open != nullptr) {
      state.summary_hash = hash64(view->open->entries.data(), view->open->entries.size() * sizeof(RawEntry));
    }
    persisted.records.push_back({.id = view->id,
                                 .file_number = view->file_number,
                                 .base_slot = view->base_slot,
                                 .live = static_cast<uint32_t>(live),
                                 .slots = view->slots,
                                 .index = view->index,
                                 .salt = view->salt,
                                 .summary_hash = state.summary_hash});
  }
  persisted.pending_files = files_.freed_now();
  for (const uint64_t page : table_pages_) map_file_.free_page(page);
  return map_file_.write_chain(encode_table(persisted), next->generation, &next->segment_table, pages);
}

// The summaries of full segments need no longer be held in memory.
void VolumeStore::seal_views(const Frozen& frozen) {
  for (const SegmentView* view : table_.views()) {
    if (view->open == nullptr || view->id >= frozen.next_segment_id || view->id == frozen.active_segment_id) continue;
    files_.filled(view->file_number);
    auto sealed = std::make_unique<SegmentView>(*view);
    sealed->open.reset();
    table_.put(std::move(sealed));
  }
}

void VolumeStore::set_root(const TreeRoot& root) {
  const TreeRoot* old = root_.exchange(new TreeRoot(root));
  if (old != nullptr) {
    epochs_.retire([shared = std::shared_ptr<const TreeRoot>(old)]() mutable { shared.reset(); });
  }
}

void VolumeStore::kick() {
  {
    const std::lock_guard lock(background_mutex_);
    kicked_ = true;
  }
  wake_.notify_one();
}

void VolumeStore::start_background() {
  background_ = std::thread([this] { background(); });
}

void VolumeStore::background() {
  (void)::pthread_setname_np(::pthread_self(), "galleonfs-store");
  // A file system looped over the volume may wait for this thread in memory reclaim: it must not wait for that in turn.
  // Often refused (CAP_SYS_RESOURCE), so nothing rests on it.
  (void)::prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
  bool more = true;
  uint64_t seen = 0;
  for (;;) {
    {
      std::unique_lock lock(background_mutex_);
      const auto woken = [this] { return stopping_ || kicked_; };
      if (more) {
        wake_.wait_for(lock, kIdle, woken);
      } else {
        watching_ = false;  // from here on the next write wakes us
        wake_.wait(lock, woken);
      }
      if (stopping_) return;
      kicked_ = false;
    }
    const uint64_t now = operations_seen_.load(std::memory_order_relaxed);
    const bool idle = now == seen;
    seen = now;
    more = maintain(idle);
  }
}

// One round of background work. True if there is reason to look again soon.
bool VolumeStore::maintain(bool idle) {
  const std::lock_guard lock(checkpoint_mutex_);
  if (closed_ || read_only()) return false;
  if (flush_wanted_.exchange(false)) {
    if (const int error = journal_.flush()) fail_stop("fdatasync of the journal", error);
    if (read_only()) return false;
  }
  const uint64_t log_bytes = log_entries() << block_shift_;
  const bool changed = log_bytes > 0 || delta_.active_entries() > 0;
  if (checkpoint_due() || (idle && (changed || files_.anything_pending()))) {
    if (checkpoint_locked()) return !read_only();  // for want of space: look again
  }
  // A volume at rest keeps nothing ahead. Under a stream of writes there is no bandwidth for writing files twice.
  const bool streaming = log_bytes > (uint64_t{superblock_.slots} << block_shift_);
  while (changed && files_.free_count() < 3 && files_.prepare(3, !streaming) == 0) {
  }
  const bool collected = epochs_.collect();
  // Whoever flushes will flush again: a flush into extents never written to has to journal their conversion.
  const uint64_t flushes = flush_meter_.read().operations;
  if (idle && flushes != flushes_seen_) {
    flushes_seen_ = flushes;
    (void)files_.write_ahead(2);
  }
  idle_rounds_ = idle ? idle_rounds_ + 1 : 0;
  const bool resting = idle_rounds_ >= kCompactIdleRounds;
  const double factor = resting ? kIdleSpaceFactor : kBusySpaceFactor;
  const uint64_t slack = superblock_.slots + (resting ? 0 : 4 * checkpoint_bytes_ >> block_shift_);
  bool compacting = false;
  if (static_cast<double>(used_slots_) > static_cast<double>(live_slots_) * factor + static_cast<double>(slack)) {
    uint64_t rewritten = 0;
    const uint64_t seen = operations_seen_;
    const auto keep_going = [&] { return !resting || operations_seen_ == seen; };  // makes way for a new burst
    compacting = !compact_locked(resting ? 0.8 : 0.3, kCompactStepBytes, keep_going, &rewritten) && rewritten > 0;
  }
  const size_t keep = 2 + table_.size() / 16;
  if (idle_rounds_ >= kTrimIdleRounds) files_.trim(keep);
  if (idle_rounds_ == kTrimIdleRounds) files_.close_idle();
  if (idle_rounds_ == kTrimIdleRounds) (void)::malloc_trim(0);  // what the last burst needed goes back to the system
  return !idle || changed || compacting || !collected || files_.anything_pending() || idle_rounds_ < kTrimIdleRounds;
}

}  // namespace galleonfs::store
