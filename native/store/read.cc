// The way of a read: locations from the delta and the map, then whole runs of slots from their segments, every block
// verified against its summary entry; only then bytes are handed on.
#include <algorithm>
#include <cerrno>
#include <cstring>

#include "volume_store.h"

namespace galleonfs::store {
namespace {

// One block of scratch a thread: the edges of unaligned requests.
std::byte* scratch_block() {
  alignas(4096) thread_local std::byte block[kBlockMax];
  return block;
}

constexpr uint64_t kLookupBlocks = 256;

// The disk is not to blame: no damage, and the next try may work.
bool scarce(int error) { return error == EMFILE || error == ENFILE || error == ENOMEM; }

}  // namespace

int VolumeStore::check_range(uint64_t offset, uint64_t length) const noexcept {
  if (closed_.load(std::memory_order_acquire)) return ESHUTDOWN;
  return offset > size_bytes_ || length > size_bytes_ - offset ? EINVAL : 0;
}

int VolumeStore::read(uint64_t offset, std::byte* into, size_t length) noexcept {
  OperationMeter::Timer timer(read_meter_, length);
  if (const int error = check_range(offset, length)) return timer.done(error);
  const Epochs::Guard guard(epochs_);
  while (length > 0) {
    const uint64_t block = offset >> block_shift_;
    const uint32_t within = static_cast<uint32_t>(offset & (block_size_ - 1));
    size_t done = 0;
    if (within == 0 && length >= block_size_) {
      const uint64_t count = std::min<uint64_t>(length >> block_shift_, kLookupBlocks);
      done = count << block_shift_;
      if (const int error = read_aligned(block, count, into)) return timer.done(error);
    } else {
      done = std::min<size_t>(length, block_size_ - within);
      std::byte* scratch = scratch_block();
      if (const int error = read_block(block, scratch)) return timer.done(error);
      std::memcpy(into, scratch + within, done);
    }
    offset += done;
    into += done;
    length -= done;
  }
  return timer.done(0);
}

// At most kLookupBlocks blocks, under an epoch guard.
int VolumeStore::read_aligned(uint64_t first, uint64_t count, std::byte* into) noexcept {
  Location locations[kLookupBlocks];
  if (const int error = lookup(first, count, locations)) return error;
  for (uint64_t i = 0; i < count;) {
    uint64_t end = i + 1;
    if (locations[i].hole()) {
      while (end < count && locations[end].hole()) end++;
      std::memset(into + (i << block_shift_), 0, (end - i) << block_shift_);
    } else {
      while (end < count && !locations[end].hole() && locations[end].segment() == locations[i].segment() &&
             locations[end].slot() == locations[i].slot() + (end - i)) {
        end++;
      }
      if (const int error = read_run(first + i, locations + i, end - i, into + (i << block_shift_))) return error;
    }
    i = end;
  }
  return 0;
}

int VolumeStore::lookup(uint64_t first, uint64_t count, Location* out) noexcept {
  for (uint64_t i = 0; i < count;) {
    const uint64_t leaf_end = ((first + i) >> kLeafShift << kLeafShift) + kLeafEntries;
    const auto n = static_cast<uint32_t>(std::min(count - i, leaf_end - (first + i)));
    bool found[kLookupBlocks];
    const TreeRoot* root = nullptr;
    const uint32_t unanswered = delta_.lookup(first + i, n, out + i, found, [&] { root = root_.load(); });
    if (unanswered > 0) {
      Location from_tree[kLookupBlocks];
      if (const int error = tree_.lookup(*root, first + i, n, from_tree)) return error;
      for (uint32_t k = 0; k < n; k++) {
        if (!found[k]) out[i + k] = from_tree[k];
      }
    }
    i += n;
  }
  return 0;
}

// Consecutive slots of one segment.
int VolumeStore::read_run(uint64_t first, const Location* locations, uint64_t count, std::byte* into) noexcept {
  const SegmentView* view = table_.find(locations[0].segment());
  if (view == nullptr) {
    damage_.add({.kind = "map page",
                 .file = "map",
                 .file_offset_bytes = UINT64_MAX,
                 .volume_offset_bytes = first << block_shift_,
                 .segment = locations[0].segment(),
                 .slot = locations[0].slot(),
                 .detail = "names a segment the table does not have"});
    return EIO;
  }
  SummaryPage summary;
  for (uint64_t i = 0; i < count;) {
    uint32_t physical = 0;
    if (const int error = physical_slot(*view, locations[i].slot(), &physical, first + i)) return error;
    uint64_t end = i + 1;
    // Behind a slot index, neighbours may have moved apart.
    for (uint32_t next = 0; end < count; end++) {
      if (view->index && (physical_slot(*view, locations[end].slot(), &next, first + end) != 0 ||
                          next != physical + (end - i))) {
        break;
      }
    }
    const auto n = static_cast<uint32_t>(end - i);
    std::byte* at = into + (i << block_shift_);
    if (const int failed = read_payload(*view, physical, n, at)) {
      if (scarce(failed)) return EIO;
      // Find the block that cannot be read: its neighbours are no worse for it.
      for (uint32_t k = 0; k < n; k++) {
        if (const int error = read_payload(*view, physical + k, 1, at + (uint64_t{k} << block_shift_))) {
          damage_.add({.kind = "payload",
                       .file = SegmentFiles::name(view->file_number),
                       .file_offset_bytes = payload_at_ + (uint64_t{view->base_slot + physical + k} << block_shift_),
                       .volume_offset_bytes = (first + i + k) << block_shift_,
                       .segment = view->id,
                       .slot = locations[i + k].slot(),
                       .detail = std::string("cannot be read: ") + std::strerror(error)});
          return EIO;
        }
      }
    }
    for (uint32_t k = 0; k < n; k++) {
      if (!verify(*view, physical + k, locations[i + k].slot(), first + i + k, at + (uint64_t{k} << block_shift_), &summary)) {
        return EIO;
      }
    }
    i = end;
  }
  return 0;
}

int VolumeStore::physical_slot(const SegmentView& view, uint32_t slot, uint32_t* physical, uint64_t block) noexcept {
  if (!view.index) {
    *physical = slot;
    return slot < view.slots ? 0 : EIO;
  }
  Page page;
  if (const int error = map_file_.read(view.index, &page, "slot index", block << block_shift_)) return error;
  const int64_t found = find_in_slot_index(page.bytes(), slot);
  if (found < 0) {
    damage_.add({.kind = "slot index",
                 .file = "map",
                 .file_offset_bytes = view.index.page * kPageBytes,
                 .volume_offset_bytes = block << block_shift_,
                 .segment = view.id,
                 .slot = slot,
                 .detail = "does not have a slot the map names"});
    return EIO;
  }
  *physical = static_cast<uint32_t>(found);
  return 0;
}

int VolumeStore::read_payload(const SegmentView& view, uint32_t physical, uint32_t count, std::byte* into) noexcept {
  std::shared_ptr<disk::File> file;
  if (view.open != nullptr) {
    file = view.open->file;
  } else if (const int error = files_.open(view.file_number, &file)) {
    return error;
  }
  return file->read(payload_at_ + (uint64_t{view.base_slot + physical} << block_shift_), into,
                    uint64_t{count} << block_shift_);
}

int VolumeStore::read_entry(const SegmentView& view, uint32_t physical, uint64_t block, SummaryPage* page,
                            std::optional<Entry>* entry) noexcept {
  const uint32_t slot_in_file = view.base_slot + physical;
  if (view.open != nullptr) {
    *entry = decode_entry(view.open->entries[physical], view.salt, slot_in_file);
    return 0;
  }
  const uint64_t number = (kSummaryOffset / sizeof(RawEntry) + slot_in_file) / kEntriesPerPage;
  if (page->number != number) {
    if (const int error = read_summary_page(view, number, physical, block, page)) return error;
    page->number = number;
  }
  *entry = decode_entry(page->entries[slot_in_file % kEntriesPerPage], view.salt, slot_in_file);
  return 0;
}

int VolumeStore::read_summary_page(const SegmentView& view, uint64_t number, uint32_t physical, uint64_t block,
                                   SummaryPage* page) noexcept {
  const PageKey key{view.cache_file, number};
  page->number = UINT64_MAX;
  page->cached = environment_.cache->find(key);
  if (page->cached) {
    cache_counters_.hits.fetch_add(1, std::memory_order_relaxed);
    page->entries = page->cached.as<RawEntry>();
    return 0;
  }
  cache_counters_.misses.fetch_add(1, std::memory_order_relaxed);
  std::shared_ptr<disk::File> file;
  int error = files_.open(view.file_number, &file);
  if (error == 0) error = file->read(number * kPageBytes, page->own, sizeof page->own);
  if (scarce(error)) return EIO;
  if (error != 0) {
    damage_.add({.kind = "summary",
                 .file = SegmentFiles::name(view.file_number),
                 .file_offset_bytes = number * kPageBytes,
                 .volume_offset_bytes = block << block_shift_,
                 .segment = view.id,
                 .slot = physical,
                 .detail = std::string("cannot be read: ") + std::strerror(error)});
    return error;
  }
  environment_.cache->insert(key, page->own);
  page->entries = page->own;
  return 0;
}

bool VolumeStore::verify(const SegmentView& view, uint32_t physical, uint32_t slot, uint64_t block,
                         const std::byte* bytes, SummaryPage* page) noexcept {
  std::optional<Entry> entry;
  if (read_entry(view, physical, block, page, &entry) != 0) return false;
  const uint32_t slot_in_file = view.base_slot + physical;
  const bool entry_ok = entry.has_value() && entry->block == block && entry->flags == kEntryData;
  if (entry_ok && entry->tag == block_tag(bytes, block_size_, view.salt, slot_in_file, block)) return true;
  damage_.add({.kind = entry_ok ? "payload" : "summary",
               .file = SegmentFiles::name(view.file_number),
               .file_offset_bytes = entry_ok ? payload_at_ + (uint64_t{slot_in_file} << block_shift_)
                                             : kSummaryOffset + uint64_t{slot_in_file} * sizeof(RawEntry),
               .volume_offset_bytes = block << block_shift_,
               .segment = view.id,
               .slot = slot,
               .detail = entry_ok ? "the block does not match its tag" : "the entry fails its check or is for another block"});
  return false;
}

int VolumeStore::seek(uint64_t offset, bool want_data, uint64_t* found) noexcept {
  if (closed_.load(std::memory_order_acquire)) return ESHUTDOWN;
  if (offset >= size_bytes_) return ENXIO;
  const Epochs::Guard guard(epochs_);
  const std::vector<uint64_t> in_delta = want_data ? delta_.leaves_with_data(offset >> block_shift_ >> kLeafShift)
                                                   : std::vector<uint64_t>();
  auto next_in_delta = in_delta.begin();
  uint64_t block = offset >> block_shift_;
  while (block < blocks_) {
    const uint64_t end = std::min(blocks_, ((block >> kLeafShift) + 1) << kLeafShift);
    for (uint64_t at = block; at < end;) {
      Location locations[kLookupBlocks];
      const uint64_t count = std::min(end - at, kLookupBlocks);
      if (const int error = lookup(at, count, locations)) return error;
      for (uint64_t i = 0; i < count; i++) {
        if (locations[i].hole() != want_data) {
          *found = std::max(offset, (at + i) << block_shift_);
          return 0;
        }
      }
      at += count;
    }
    block = end;
    if (!want_data || block >= blocks_) continue;
    // On to the next leaf that anything is known of.
    const uint64_t leaf = block >> kLeafShift;
    uint64_t in_tree = UINT64_MAX;
    if (const int error = tree_.next_leaf(*root_.load(), leaf, &in_tree)) return error;
    next_in_delta = std::lower_bound(next_in_delta, in_delta.end(), leaf);
    const uint64_t next = std::min(in_tree, next_in_delta == in_delta.end() ? UINT64_MAX : *next_in_delta);
    if (next == UINT64_MAX) return ENXIO;
    block = next << kLeafShift;
  }
  if (want_data) return ENXIO;
  *found = size_bytes_;
  return 0;
}

}  // namespace galleonfs::store
