// A scrub of what leads to the data: superblocks, the tables' chains, and the pages of the map.
#include <algorithm>
#include <cerrno>
#include <cstring>

#include "page_chain.h"
#include "scrubber.h"

namespace galleonfs::store {

void Scrubber::tables() {
  superblocks();
  PagePointer chains[3];
  bool good = true;
  {
    // Reached from the newest superblock as of now: the guard keeps it from being written over.
    std::unique_lock lock(store_.checkpoint_mutex_);
    const Epochs::Guard guard(store_.epochs_);
    chains[0] = store_.superblock_.segment_table;
    chains[1] = store_.superblock_.page_bitmap;
    chains[2] = store_.superblock_.stragglers;
    lock.unlock();
    for (const PagePointer& chain : chains) good = chain_good(chain, "table page") && good;
    position_.end_segment = 0;
    for (const SegmentView* view : store_.table_.views()) position_.end_segment = std::max(position_.end_segment, view->id + 1);
  }
  // Every checkpoint writes the tables anew, from memory: two, and neither superblock leads to the bad page.
  if (!good && may_heal()) {
    bool rewritten = true;
    for (int i = 0; i < 2; i++) rewritten = rewritten && !store_.checkpoint();
    for (ScrubFind& find : step_.finds) {
      if (find.place.kind == "table page" && rewritten) find.healed = "memory, by a checkpoint";
    }
  }
  for (ScrubFind& find : step_.finds) {
    if (find.place.kind == "table page" && find.healed.empty()) store_.damage_.add(find.place);
  }
  position_.phase = ScrubPhase::segments;
  position_.at = 0;
  position_.slot = 0;
}

// Under the checkpoint mutex nobody writes them.
void Scrubber::superblocks() {
  const std::lock_guard lock(store_.checkpoint_mutex_);
  if (store_.closed_) return;
  for (int slot = 0; slot < 2; slot++) {
    const bool newest = slot == store_.superblock_slot_;
    const auto good = [&] {
      const uint64_t offset = static_cast<uint64_t>(slot) * kPageBytes;
      if (store_.superblock_file_->read_medium(offset, buffer_.data(), kPageBytes) != 0) return false;
      RawSuperblock found;
      std::memcpy(&found, buffer_.data(), sizeof found);
      if (check_superblock(found) != SuperblockState::valid || found.volume_id != store_.volume_id_) return false;
      return newest ? found.generation == store_.superblock_.generation : found.generation != store_.superblock_.generation;
    };
    step_.done_bytes += kPageBytes;
    if (good()) continue;
    // From memory, in place: the other one is whole, and everything it reaches is kept.
    RawSuperblock copy = store_.superblock_;
    if (!newest) copy.generation--;
    const bool healed = may_heal() && write_superblock(*store_.superblock_file_, copy, slot) == 0 && good();
    found({.kind = "superblock",
           .file = "superblock",
           .file_offset_bytes = static_cast<uint64_t>(slot) * kPageBytes,
           .volume_offset_bytes = UINT64_MAX,
           .segment = 0,
           .slot = 0,
           .detail = "fails its check"},
          healed ? "memory" : "");
  }
}

bool Scrubber::chain_good(const PagePointer& first, const char* what) {
  std::byte* page = buffer_.data();
  for (PagePointer next = first; next;) {
    step_.done_bytes += kPageBytes;
    ChainHeader header;
    const int error = store_.map_file_.read_medium(next, page);
    if (error == 0) std::memcpy(&header, page, sizeof header);
    if (error != 0 || header.length > kChainPayload) {
      step_.finds.push_back({{.kind = what,
                              .file = "map",
                              .file_offset_bytes = next.page * kPageBytes,
                              .volume_offset_bytes = UINT64_MAX,
                              .segment = 0,
                              .slot = 0,
                              .detail = "does not match the hash of what points to it"},
                             {}});
      return false;
    }
    next = header.next;
  }
  return true;
}

void Scrubber::page_bad(const PagePointer& pointer, const char* kind, uint64_t volume_offset, int error) {
  const bool healed = may_heal() && store_.map_file_.heal(pointer);
  found({.kind = kind,
         .file = "map",
         .file_offset_bytes = pointer.page * kPageBytes,
         .volume_offset_bytes = volume_offset,
         .segment = 0,
         .slot = 0,
         .detail = error == EBADMSG ? std::string("does not match the hash its parent holds")
                                    : std::string("cannot be read: ") + std::strerror(error)},
        healed ? "the cache" : "");
}

void Scrubber::map() {
  const Epochs::Guard guard(store_.epochs_);
  const TreeRoot* root = store_.root_.load();
  if (!subtree(root->pointer, root->height, 0)) return;
  suspects_in_delta();
  position_.phase = ScrubPhase::done;
  position_.suspects.clear();
}

// From position_.at on. False: the step's bytes are used up.
bool Scrubber::subtree(const PagePointer& pointer, uint32_t level, uint64_t first_leaf) {
  const uint64_t end_leaf = first_leaf + (1ULL << kNodeShift * level);
  if (!pointer || end_leaf <= position_.at) return true;
  if (!budget_left() && advanced_) return false;
  step_.done_bytes += kPageBytes;
  const int error = store_.map_file_.read_medium(pointer, buffer_.data());
  if (error != 0) {
    page_bad(pointer, level == 0 ? "map page" : "map node", (first_leaf << kLeafShift) << store_.block_shift_, error);
    if (store_.map_file_.read_medium(pointer, buffer_.data()) != 0) {
      position_.at = end_leaf;
      advanced_ = true;
      return true;
    }
  }
  if (level == 0) {
    suspects_in(first_leaf);
    position_.at = end_leaf;
    advanced_ = true;
    return true;
  }
  std::vector<PagePointer> children(kNodeEntries);
  std::memcpy(children.data(), buffer_.data(), kPageBytes);
  const uint64_t step = 1ULL << kNodeShift * (level - 1);
  for (uint64_t i = 0; i < kNodeEntries; i++) {
    if (!subtree(children[i], level - 1, first_leaf + i * step)) return false;
  }
  return true;
}

void Scrubber::suspects_in(uint64_t leaf) {
  if (position_.suspects.empty()) return;
  constexpr uint64_t kAtOnce = 256;
  const uint64_t end = std::min(store_.blocks_, (leaf + 1) << kLeafShift);
  for (uint64_t first = leaf << kLeafShift; first < end; first += kAtOnce) {
    Location locations[kAtOnce];
    const uint64_t count = std::min(kAtOnce, end - first);
    if (store_.lookup(first, count, locations) != 0) continue;
    for (uint64_t i = 0; i < count; i++) {
      if (locations[i].hole()) continue;
      const std::pair<uint64_t, uint32_t> place(locations[i].segment(), locations[i].slot());
      if (std::binary_search(position_.suspects.begin(), position_.suspects.end(), place)) {
        suspect_live(place.first, place.second, first + i);
      }
    }
  }
}

// Blocks that are in no page yet.
void Scrubber::suspects_in_delta() {
  if (position_.suspects.empty()) return;
  for (const uint64_t leaf : store_.delta_.leaves_with_data(0)) suspects_in(leaf);
}

// The map says that `block` is in a slot whose entry is lost, or was when it was looked at.
void Scrubber::suspect_live(uint64_t segment, uint32_t slot, uint64_t block) {
  const SegmentView* view = store_.table_.find(segment);
  if (view == nullptr) return;
  uint32_t physical = 0;
  std::shared_ptr<disk::File> file;
  if (store_.physical_slot(*view, slot, &physical, block) != 0 || open(*view, &file) != 0) return;
  const uint64_t at = kSummaryOffset + (uint64_t{view->base_slot} + physical) * sizeof(RawEntry);
  const uint64_t page = at / kPageBytes * kPageBytes;
  const int error = file->read_medium(page, buffer_.data(), kPageBytes);
  RawEntry raw;
  std::memcpy(&raw, buffer_.data() + (at - page), sizeof raw);
  const auto entry = error == 0 ? decode_entry(raw, view->salt, view->base_slot + physical) : std::nullopt;
  if (entry.has_value() && entry->block == block && entry->flags == kEntryData) return;
  for (const ScrubFind& find : step_.finds) {
    if (find.place.segment == segment && find.place.slot == slot && find.place.kind == "summary") return;
  }
  Damage place = place_of(*view, slot, physical, false, block);
  place.detail = error != 0 ? std::string("cannot be read: ") + std::strerror(error)
                            : "the entry fails its check or is for another block";
  found(std::move(place), {});
}

}  // namespace galleonfs::store
