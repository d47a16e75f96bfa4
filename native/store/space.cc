// The space reserve: what keeps a full file system from costing anything that was acknowledged.
//
// Invariants:
//   map        before a write or discard is acknowledged, the map file has room, reserved on disk, for the checkpoint that
//              will merge it, and for the one after that, which gives pages back
//   segments   the last free file is for discards (Journal::allocate), and for moving what lives in thin segments
// So a checkpoint never needs new space, out of space is told before anything is written, and what is discarded or
// overwritten comes back without any.
#include <algorithm>
#include <cerrno>

#include "page_chain.h"
#include "volume_store.h"

namespace galleonfs::store {
namespace {

// Leaves that writes leave to discards.
constexpr uint64_t kDiscardLeaves = 64;
// Room is made for so many leaves at once.
constexpr uint64_t kLeavesAhead = 256;
constexpr uint64_t kSlackPages = 16;
// Files with a larger live share are not worth moving, even if it is that or ENOSPC; and so many are moved at most before
// a writer is told.
constexpr double kEvacuateLiveShare = 0.95;
constexpr int kEvacuationsMax = 32;
constexpr auto kReaderWait = std::chrono::milliseconds(2);
constexpr int kReaderWaitsMax = 500;

}  // namespace

// Pages that the next two checkpoints may take when the delta touches so many leaves.
uint64_t VolumeStore::pages_needed(uint64_t leaves) const noexcept {
  const uint64_t all_leaves = (blocks_ + kLeafEntries - 1) >> kLeafShift;
  const uint64_t stragglers = delta_.straggler_count();
  // choose_merges() merges waiting stragglers only where there are few leaves, or to make place for new ones.
  const uint64_t merged = std::min(leaves + std::min(stragglers, leaves + options_.leaves_merged_whole), all_leaves);
  uint64_t nodes = 0;
  for (uint64_t at_level = all_leaves; at_level > 1;) {
    at_level = (at_level + kNodeEntries - 1) / kNodeEntries;
    nodes += std::min(merged, at_level);
  }
  const uint64_t waiting = std::min<uint64_t>(kStragglersMax, stragglers + kStragglerEntriesPerLeafMax * leaves);
  const uint64_t chains = chain_pages((table_.size() + kSlackPages) * sizeof(RawSegmentRecord)) +
                          chain_pages(waiting * sizeof(DeltaEntry)) + 2;
  const uint64_t freed = 2 * (merged + nodes + 1 + chains);
  const uint64_t bitmap = chain_pages(((map_file_.pages() + map_file_.room()) / 64 + freed) * sizeof(uint64_t)) + 1;
  return merged + nodes + 1 + 2 * (chains + bitmap) + kSlackPages;
}

// ENOSPC, or EIO for want of descriptors and the like: then nothing was changed.
int VolumeStore::admit(uint64_t blocks, Purpose purpose) noexcept {
  for (;;) {
    uint64_t seen = admission_.load(std::memory_order_relaxed);
    const uint64_t leaves = delta_.unmerged_leaves() + (blocks >> kLeafShift) + 2 +
                            (purpose == Purpose::write ? kInFlightLeaves + kDiscardLeaves : 0);
    if (leaves <= (seen & kAdmittedMask)) return 0;
    uint64_t admitted = leaves + kLeavesAhead;
    int error = map_file_.make_room(pages_needed(admitted));
    if (error != 0) {
      admitted = leaves;
      error = map_file_.make_room(pages_needed(admitted));
    }
    if (error != 0) return refused(error);
    // Not if a checkpoint has changed the room meanwhile.
    if (admission_.compare_exchange_strong(seen, (seen & ~kAdmittedMask) | admitted, std::memory_order_relaxed)) return 0;
  }
}

// The map's room or the delta's meaning has changed: the next write looks again.
void VolumeStore::admit_anew() noexcept {
  admission_.store((admission_.load() & ~kAdmittedMask) + kAdmittedMask + 1);
}

bool VolumeStore::has_room(Purpose purpose) noexcept {
  const size_t free = files_.free_count();
  return free > 1 || (free == 1 && (purpose == Purpose::discard || journal_.slots_left() > 0));
}

// Out of space. Dead segments become free two checkpoints later, thin ones when what lives in them has moved. 0 if it is
// worth trying again.
int VolumeStore::make_room(Purpose purpose) noexcept {
  const std::lock_guard lock(checkpoint_mutex_);
  if (closed_ || read_only()) return EROFS;
  const bool map_full = admit(2 * kLeafEntries, purpose) != 0;
  if (!map_full && has_room(purpose)) return 0;
  // Nothing was overwritten or discarded since this last failed.
  uint64_t& failed_at = no_room_since_[purpose == Purpose::write ? 0 : 1];
  if (journal_.issued_lsn() == failed_at) return ENOSPC;
  if (map_full) {
    // Merged updates need no more room, and the pages they replaced come back.
    for (int i = 0; i < 3; i++) {
      if (const Failure failed = checkpoint_locked()) return failed.error;
    }
  }
  int error = checkpoint_until_room(purpose);
  for (int round = 0; round < kEvacuationsMax && error == 0 && !has_room(purpose); round++) {
    if (files_.free_count() == 0) {
      error = end_segment();
      if (error == 0) error = checkpoint_until_room(purpose);
    }
    bool moved = false;
    if (error == 0) error = evacuate_thinnest(&moved);
    if (!moved) break;
    if (error == 0) error = checkpoint_until_room(purpose);
  }
  if (error == 0) error = has_room(purpose) ? admit(2 * kLeafEntries, purpose) : ENOSPC;
  if (error == ENOSPC) failed_at = journal_.issued_lsn();
  return error;
}

int VolumeStore::checkpoint_until_room(Purpose purpose) noexcept {
  for (int i = 0; i < 3 && !has_room(purpose); i++) {
    if (const Failure failed = checkpoint_locked()) return failed.error;
    // A reader may have been slow since before: what it looks at is not free yet.
    for (int tries = 0; tries < kReaderWaitsMax && !epochs_.collect(); tries++) std::this_thread::sleep_for(kReaderWait);
    map_file_.settle();
    admit_anew();
  }
  return 0;
}

// Moves what lives in the thinnest file to the journal's end, as if it were written again: unlike compaction that packs
// segments of any share, and a single free file is enough for it.
int VolumeStore::evacuate_thinnest(bool* moved) noexcept {
  const std::vector<ThinFile> thin = thin_files(kEvacuateLiveShare);
  if (thin.empty()) return 0;
  // Copies: a checkpoint on the way may take the views of the table.
  std::vector<SegmentView> views;
  for (const SegmentView* view : thin.front().views) views.push_back(*view);
  for (const SegmentView& view : views) {
    if (const int error = evacuate(view)) return error;
  }
  *moved = true;
  return 0;
}

int VolumeStore::evacuate(const SegmentView& view) noexcept {
  std::vector<Entry> entries;
  std::vector<uint32_t> slots;
  {
    const Epochs::Guard guard(epochs_);
    slots = live_slots(view, &entries);
  }
  for (size_t i = 0; i < slots.size(); i++) {
    int error = move_block(entries[i].block, Location(view.id, slots[i]));
    for (int tries = 0; tries < 3 && error == ENOSPC; tries++) {
      if (const Failure failed = checkpoint_locked()) return failed.error;
      error = move_block(entries[i].block, Location(view.id, slots[i]));
    }
    if (error != 0) return error;
  }
  return 0;
}

// Writes the block again if it still is there. What cannot be read stays where it is.
int VolumeStore::move_block(uint64_t block, Location from) noexcept {
  if (const int error = admit(1, Purpose::discard)) return error;
  const RangeLock::Guard lock(ranges_, block, block + 1);
  std::vector<std::byte> bytes(block_size_);
  {
    const Epochs::Guard guard(epochs_);
    Location location;
    if (lookup(block, 1, &location) != 0 || !(location == from) || read_block(block, bytes.data()) != 0) return 0;
  }
  const Piece piece{bytes.data(), 1};
  uint64_t appended = 0;
  if (const int error = append(block, &piece, 1, Purpose::discard, &appended)) return error;
  compacted_bytes_ += block_size_;
  return 0;
}

// Fills the rest of a segment that took the last free file with void entries, so that it can become free again.
int VolumeStore::end_segment() noexcept {
  Journal::Operation operation;
  Extent extent;
  if (!journal_.allocate_rest_for_discards(operation, &extent)) return 0;
  OpenSegment& segment = *extent.segment;
  for (uint32_t slot = extent.slot; slot < extent.slot + extent.count; slot++) {
    const Entry entry{.block = 0, .lsn = segment.base_lsn + slot, .durable_lsn = journal_.durable_lsn(), .flags = kEntryVoid, .tag = {}};
    segment.entries[slot] = encode_entry(entry, segment.salt, slot);
  }
  int error = segment.file->write(kSummaryOffset + uint64_t{extent.slot} * sizeof(RawEntry), &segment.entries[extent.slot],
                                  extent.count * sizeof(RawEntry));
  if (error != 0) error = fail_stop("writing to the journal", error);
  journal_.finish(operation);
  return error;
}

}  // namespace galleonfs::store
