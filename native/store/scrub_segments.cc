// A scrub of the segments: headers, summaries, and every live block.
#include <algorithm>
#include <cerrno>
#include <cstring>

#include "scrubber.h"

namespace galleonfs::store {
namespace {

constexpr size_t kSuspectsMax = 64 << 10;

bool all_zero(const RawEntry& entry) {
  static constexpr RawEntry zero;
  return std::memcmp(&entry, &zero, sizeof entry) == 0;
}

}  // namespace

void Scrubber::segments() {
  uint64_t id = 0;
  uint64_t life = 0;
  {
    const Epochs::Guard guard(store_.epochs_);
    const SegmentView* view = store_.table_.at_or_after(position_.at);
    if (view == nullptr || view->id >= position_.end_segment) {
      position_.phase = ScrubPhase::map;
      position_.at = 0;
      position_.slot = 0;
      std::sort(position_.suspects.begin(), position_.suspects.end());
      return;
    }
    id = view->id;
    life = view->cache_file;
  }
  if (id != position_.at) position_.slot = 0;
  position_.at = id;
  const ScrubbedSegment* loaded = store_.scrubbed_segment_.get();
  SegmentState state;
  std::optional<uint32_t> live_expected;
  const uint64_t at_lsn = store_.journal_.issued_lsn();
  const bool fresh = loaded == nullptr || loaded->id != id || loaded->life != life;
  if (fresh) {
    const std::lock_guard lock(store_.checkpoint_mutex_);
    const auto known = store_.table_.states().find(id);
    if (known != store_.table_.states().end()) state = known->second;
    const bool merged = store_.delta_.unmerged_entries() == 0 && store_.delta_.straggler_count() == 0;
    if (merged && position_.slot == 0) live_expected = state.live;
  }
  const Epochs::Guard guard(store_.epochs_);
  const SegmentView* view = store_.table_.find(id);
  // Gone meanwhile, or moved: then it is looked at where it is now.
  if (view == nullptr) position_.at++;
  if (view == nullptr || view->cache_file != life) return;
  if (fresh && !load(*view, state)) {
    position_.at++;
    position_.slot = 0;
    return;
  }
  if (fresh) {
    store_.scrubbed_segment_->live_expected = live_expected;
    store_.scrubbed_segment_->at_lsn = at_lsn;
  }
  check_slots(*view);
}

int Scrubber::open(const SegmentView& view, std::shared_ptr<disk::File>* file) {
  if (view.open == nullptr) return store_.files_.open(view.file_number, file);
  *file = view.open->file;
  return 0;
}

bool Scrubber::is_live(uint64_t block, uint64_t segment, uint32_t slot) {
  Location location;
  return block < store_.blocks_ && store_.lookup(block, 1, &location) == 0 && location == Location(segment, slot);
}

std::optional<uint32_t> Scrubber::physical_of(const SegmentView& view, uint32_t slot) const {
  if (!view.index) return slot < view.slots ? std::optional(slot) : std::nullopt;
  const int64_t found = find_in_slot_index(store_.scrubbed_segment_->index.data(), slot);
  if (found < 0 || found >= view.slots) return {};
  return static_cast<uint32_t>(found);
}

// Header, slot index and summary. False: its slots cannot be looked at.
bool Scrubber::load(const SegmentView& view, const SegmentState& state) {
  store_.scrubbed_segment_ = std::make_unique<ScrubbedSegment>();
  ScrubbedSegment& segment = *store_.scrubbed_segment_;
  segment.id = view.id;
  segment.life = view.cache_file;
  std::shared_ptr<disk::File> file;
  if (const int error = open(view, &file)) {
    Damage place = place_of(view, 0, 0, false, UINT64_MAX);
    place.kind = "segment file";
    place.file_offset_bytes = 0;
    place.detail = std::string("cannot be opened: ") + std::strerror(error);
    found(std::move(place), {});
    return false;
  }
  check_headers(view, *file);
  if (view.index && !check_index(view)) return false;
  // Before the summary is read: what is settled now will be in it.
  const uint32_t settled = view.open == nullptr ? view.slots : store_.journal_.settled_slots(*view.open);
  const uint64_t from = kSummaryOffset + uint64_t{view.base_slot} * sizeof(RawEntry);
  const uint64_t start = from / kPageBytes * kPageBytes;
  const uint64_t end = (from + view.slots * sizeof(RawEntry) + kPageBytes - 1) / kPageBytes * kPageBytes;
  disk::AlignedBuffer bytes(std::max<uint64_t>(end - start, kPageBytes));
  step_.done_bytes += end - start;
  if (file->read_medium(start, bytes.data(), end - start) != 0) {
    // Page by page: one bad sector must not hide the others. What cannot be read counts as lost entries.
    for (uint64_t at = start; at < end; at += kPageBytes) {
      if (file->read_medium(at, bytes.data() + (at - start), kPageBytes) != 0) {
        std::memset(bytes.data() + (at - start), 0xFF, kPageBytes);
      }
    }
  }
  segment.entries.resize(view.slots);
  std::memcpy(segment.entries.data(), bytes.data() + (from - start), view.slots * sizeof(RawEntry));
  if (view.open != nullptr) {
    check_open_entries(view, *file, segment.entries, settled);
    segment.as_sealed = true;
    return true;
  }
  segment.as_sealed =
      state.summary_hash != 0 &&
      hash64(segment.entries.data(), segment.entries.size() * sizeof(RawEntry)) == state.summary_hash;
  return true;
}

void Scrubber::check_headers(const SegmentView& view, disk::File& file) {
  RawSegmentHeader headers[2];
  bool good[2] = {};
  for (uint32_t copy = 0; copy < 2; copy++) {
    step_.done_bytes += kPageBytes;
    if (file.read_medium(copy * kPageBytes, buffer_.data(), kPageBytes) != 0) continue;
    std::memcpy(&headers[copy], buffer_.data(), sizeof headers[copy]);
    const RawSegmentHeader& header = headers[copy];
    good[copy] = valid_segment_header(header) && header.volume_id == store_.volume_id_ &&
                 header.file_number == view.file_number && header.salt == view.salt &&
                 header.kind == (view.index ? kCompactedSegment : kLogSegment);
  }
  for (uint32_t copy = 0; copy < 2; copy++) {
    if (good[copy]) continue;
    bool healed = false;
    if (good[1 - copy] && may_heal()) {
      std::memset(buffer_.data(), 0, kPageBytes);
      std::memcpy(buffer_.data(), &headers[1 - copy], sizeof headers[copy]);
      healed = file.write_direct(copy * kPageBytes, buffer_.data(), kPageBytes) == 0;
    }
    Damage place = place_of(view, 0, 0, false, UINT64_MAX);
    place.kind = "segment header";
    place.file_offset_bytes = copy * kPageBytes;
    place.detail = "fails its check";
    found(std::move(place), healed ? "its other copy" : "");
  }
}

bool Scrubber::check_index(const SegmentView& view) {
  step_.done_bytes += kPageBytes;
  int error = store_.map_file_.read_medium(view.index, buffer_.data());
  if (error != 0) {
    page_bad(view.index, "slot index", UINT64_MAX, error);
    error = store_.map_file_.read_medium(view.index, buffer_.data());
  }
  if (error == 0) store_.scrubbed_segment_->index.assign(buffer_.data(), buffer_.data() + kPageBytes);
  return error == 0;
}

// Of a segment that is not sealed the entries are in memory too: the better copy. Slots that are not settled are left
// out: their writers are at work.
void Scrubber::check_open_entries(const SegmentView& view, disk::File& file, std::vector<RawEntry>& on_disk, uint32_t settled) {
  for (uint32_t slot = 0; slot < settled; slot++) {
    const RawEntry& in_memory = view.open->entries[slot];
    const auto entry = decode_entry(in_memory, view.salt, slot);
    if (std::memcmp(&in_memory, &on_disk[slot], sizeof in_memory) == 0) continue;
    on_disk[slot] = in_memory;
    if (!entry.has_value()) continue;
    const bool healed = may_heal() && write_entry(view, file, slot, in_memory);
    Damage place = place_of(view, slot, slot, false, entry->flags == kEntryData ? entry->block : UINT64_MAX);
    place.detail = "the entry on disk differs from the one in memory";
    found(std::move(place), healed ? "memory" : "");
  }
  std::fill(on_disk.begin() + settled, on_disk.end(), RawEntry());
}

bool Scrubber::write_entry(const SegmentView& view, disk::File& file, uint32_t physical, const RawEntry& entry) {
  const uint64_t at = kSummaryOffset + (uint64_t{view.base_slot} + physical) * sizeof(RawEntry);
  const uint64_t page = at / kPageBytes * kPageBytes;
  // Others may be writing to the same page of an open segment; the next flush makes it durable.
  if (view.open != nullptr) return file.write(at, &entry, sizeof entry) == 0;
  disk::AlignedBuffer bytes(kPageBytes);
  if (file.read_medium(page, bytes.data(), kPageBytes) != 0) return false;
  std::memcpy(bytes.data() + (at - page), &entry, sizeof entry);
  if (file.write_direct(page, bytes.data(), kPageBytes) != 0) return false;
  store_.environment_.cache->erase({view.cache_file, page / kPageBytes});
  return true;
}

void Scrubber::check_slots(const SegmentView& view) {
  ScrubbedSegment& segment = *store_.scrubbed_segment_;
  std::shared_ptr<disk::File> file;
  if (open(view, &file) != 0) {
    position_.at++;
    position_.slot = 0;
    return;
  }
  std::vector<Slot> slots;
  const uint64_t room = bytes_max_ - std::min(bytes_max_, step_.done_bytes);
  const size_t slots_max = std::max<uint64_t>(room >> store_.block_shift_, 1);
  uint32_t slot = position_.slot;
  for (; slot < store_.slots_ && slots.size() < slots_max; slot++) {
    const auto physical = physical_of(view, slot);
    if (!physical.has_value()) continue;
    const auto entry = decode_entry(segment.entries[*physical], view.salt, view.base_slot + *physical);
    if (!entry.has_value()) {
      if (!segment.as_sealed) entry_bad(view, *file, slot, *physical);
    } else if (entry->flags == kEntryData && is_live(entry->block, view.id, slot)) {
      slots.push_back({slot, *physical, *entry});
    }
  }
  check_payload(view, *file, slots);
  segment.live_found += static_cast<uint32_t>(slots.size());
  position_.slot = slot;
  if (slot < store_.slots_) return;
  check_count(view);
  position_.at++;
  position_.slot = 0;
}

void Scrubber::check_count(const SegmentView& view) {
  const ScrubbedSegment& segment = *store_.scrubbed_segment_;
  if (!segment.live_expected.has_value() || segment.live_found >= *segment.live_expected) return;
  if (store_.journal_.issued_lsn() != segment.at_lsn || store_.delta_.unmerged_entries() != 0) return;
  for (uint32_t slot = 0; slot < store_.slots_ && position_.suspects.size() < kSuspectsMax; slot++) {
    const auto physical = physical_of(view, slot);
    if (!physical.has_value()) continue;
    const auto entry = decode_entry(segment.entries[*physical], view.salt, view.base_slot + *physical);
    if (!entry.has_value() || entry->flags != kEntryData || !is_live(entry->block, view.id, slot)) {
      position_.suspects.emplace_back(view.id, slot);
    }
  }
}

void Scrubber::check_payload(const SegmentView& view, disk::File& file, const std::vector<Slot>& slots) {
  const uint32_t shift = store_.block_shift_;
  const size_t run_max = kBufferBytes >> shift;
  const auto offset_of = [&](uint32_t physical) { return store_.payload_at_ + ((uint64_t{view.base_slot} + physical) << shift); };
  std::vector<std::pair<const Slot*, int>> bad;
  for (size_t i = 0; i < slots.size();) {
    size_t end = i + 1;
    while (end < slots.size() && end - i < run_max && slots[end].physical == slots[end - 1].physical + 1) end++;
    const int run_error = file.read_medium(offset_of(slots[i].physical), buffer_.data(), (end - i) << shift);
    step_.done_bytes += (end - i) << shift;
    for (size_t k = i; k < end; k++) {
      const Slot& at = slots[k];
      std::byte* bytes = buffer_.data() + ((k - i) << shift);
      const int error = run_error == 0 ? 0 : file.read_medium(offset_of(at.physical), bytes, store_.block_size_);
      const Hash128 tag = block_tag(bytes, store_.block_size_, view.salt, view.base_slot + at.physical, at.entry.block);
      if (error != 0 || !(tag == at.entry.tag)) bad.emplace_back(&at, error);
    }
    i = end;
  }
  for (const auto& [slot, error] : bad) payload_bad(view, file, *slot, error);
}

void Scrubber::payload_bad(const SegmentView& view, disk::File& file, const Slot& slot, int error) {
  if (!is_live(slot.entry.block, view.id, slot.slot)) return;  // overwritten meanwhile
  const uint32_t in_file = view.base_slot + slot.physical;
  Damage place = place_of(view, slot.slot, slot.physical, true, slot.entry.block);
  std::byte* bytes = buffer_.data();
  const auto good = [&] { return slot.entry.tag == block_tag(bytes, store_.block_size_, view.salt, in_file, slot.entry.block); };
  const auto good_on_medium = [&] {
    return file.read_medium(place.file_offset_bytes, bytes, store_.block_size_) == 0 && good();
  };
  if (good_on_medium()) return;
  // The page cache may still have what was written. Rewriting what should be there anyway is safe at any instant.
  const bool healed = may_heal() && file.read(place.file_offset_bytes, bytes, store_.block_size_) == 0 && good() &&
                      file.write_direct(place.file_offset_bytes, bytes, store_.block_size_) == 0 && good_on_medium();
  place.detail = error != 0 ? std::string("cannot be read: ") + std::strerror(error) : "the block does not match its tag";
  found(std::move(place), healed ? "the page cache" : "");
}

// An entry that fails its check in a summary that is not what was sealed. Other copies: the page cache; or the entry itself,
// where one byte is wrong and the payload's tag confirms which. Else the map must tell whether it matters.
void Scrubber::entry_bad(const SegmentView& view, disk::File& file, uint32_t slot, uint32_t physical) {
  const uint32_t in_file = view.base_slot + physical;
  RawEntry& raw = store_.scrubbed_segment_->entries[physical];
  const auto live = [&](const Entry& entry) { return entry.flags == kEntryData && is_live(entry.block, view.id, slot); };
  RawEntry cached;
  std::optional<Entry> entry;
  std::string healed;
  if (file.read(kSummaryOffset + uint64_t{in_file} * sizeof cached, &cached, sizeof cached) == 0) {
    entry = decode_entry(cached, view.salt, in_file);
    healed = "the page cache";
  }
  if (!entry.has_value() && !all_zero(raw)) {
    std::byte* bytes = buffer_.data();
    const uint64_t at = store_.payload_at_ + (uint64_t{in_file} << store_.block_shift_);
    if (file.read_medium(at, bytes, store_.block_size_) == 0) {
      entry = repair_entry(raw, view.salt, in_file, [&](const Entry& candidate) {
        return candidate.tag == block_tag(bytes, store_.block_size_, view.salt, in_file, candidate.block);
      });
      healed = "its payload's tag";
    }
  }
  if (!entry.has_value()) {
    if (position_.suspects.size() < kSuspectsMax) position_.suspects.emplace_back(view.id, slot);
    return;
  }
  if (!live(*entry)) return;
  const RawEntry good = encode_entry(*entry, view.salt, in_file);
  if (!may_heal() || !write_entry(view, file, physical, good)) healed.clear();
  raw = good;
  Damage place = place_of(view, slot, physical, false, entry->block);
  place.detail = "the entry fails its check";
  found(std::move(place), healed);
}

}  // namespace galleonfs::store
