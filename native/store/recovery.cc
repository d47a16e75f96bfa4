// The way of a recovery: the newest superblock whose tables are whole; then every valid entry after its checkpoint, in LSN
// order, read from the medium once it is synced; then a checkpoint of what was found, before anything is served.
//
// The page cache is not believed: what only it holds (a killed process's last writes) is synced first, and what a failed
// sync of an earlier life left in it, as if it were clean, is not on the disk.
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "volume_store.h"

namespace galleonfs::store {
namespace {

bool read_header(disk::File& file, RawSegmentHeader* header) {
  for (const uint64_t copy : {0, 1}) {
    if (file.read(copy * kPageBytes, header, sizeof *header) == 0 && valid_segment_header(*header) &&
        header->base_lsn <= kLsnMax && header->opening_lsn <= header->base_lsn && header->segment_id <= kSegmentIdMax) {
      return true;
    }
  }
  return false;
}

// A power cut may have torn one copy of a header. True if one was written anew.
bool heal_header(disk::File& file, const RawSegmentHeader& header) {
  bool healed = false;
  for (const uint64_t copy : {0, 1}) {
    RawSegmentHeader found;
    if (file.read(copy * kPageBytes, &found, sizeof found) == 0 && std::memcmp(&found, &header, sizeof found) == 0) continue;
    alignas(16) std::byte page[kPageBytes] = {};
    std::memcpy(page, &header, sizeof header);
    healed = file.write(copy * kPageBytes, page, sizeof page) == 0 || healed;
  }
  return healed;
}

constexpr uint64_t kWindowBytes = 1 << 20;

// Payload blocks of a segment from the medium, a window at a time.
class PayloadWindow {
 public:
  PayloadWindow(disk::File& file, uint64_t payload_at, uint32_t block_size, uint32_t slots)
      : file_(file), payload_at_(payload_at), block_size_(block_size), slots_(slots) {}

  // Null where it cannot be read.
  const std::byte* block(uint32_t slot) {
    const auto per_window = static_cast<uint32_t>(kWindowBytes / block_size_);
    if (slot < first_ || slot >= first_ + count_) {
      first_ = slot;
      count_ = std::min(per_window, slots_ - slot);
      bytes_.resize(uint64_t{count_} * block_size_);
      if (!read(slot, count_)) {
        // One bad sector must not hide its neighbours.
        count_ = 1;
        if (!read(slot, 1)) count_ = 0;
      }
      if (count_ == 0) return nullptr;
    }
    return bytes_.data() + uint64_t{slot - first_} * block_size_;
  }

 private:
  bool read(uint32_t slot, uint32_t count) {
    return file_.read_medium(payload_at_ + uint64_t{slot} * block_size_, bytes_.data(), uint64_t{count} * block_size_) == 0;
  }

  disk::File& file_;
  const uint64_t payload_at_;
  const uint32_t block_size_;
  const uint32_t slots_;
  uint32_t first_ = 0;
  uint32_t count_ = 0;
  std::vector<std::byte> bytes_;
};

}  // namespace

Failure VolumeStore::recover(int slot, bool heal) {
  const auto start = std::chrono::steady_clock::now();
  superblock_slot_ = slot;
  recovery_.superblock_generation = superblock_.generation;
  if (Failure failed = load_state()) return failed;
  std::vector<ReplaySegment> segments;
  std::vector<std::string> cut_short;
  if (Failure failed = find_replay_segments(&segments, &cut_short)) return failed;
  if (Failure failed = replay(segments)) return failed;
  if (!options_.read_only) {
    for (const std::string& name : cut_short) (void)disk_->remove(name);
  }
  if (!options_.read_only && (recovery_.replayed_entries > 0 || heal)) {
    for (const ReplaySegment& segment : segments) {
      if (!heal_header(*segment.file, segment.header) && segment.repaired.empty()) continue;
      for (const uint32_t slot : segment.repaired) {
        (void)segment.file->write(kSummaryOffset + uint64_t{slot} * sizeof(RawEntry), &segment.entries[slot], sizeof(RawEntry));
      }
      if (const int error = segment.file->sync()) {
        return failure(error, "STORE_IO", "fdatasync of repaired entries and headers in " + disk_->path() + ": " + std::strerror(error));
      }
    }
    if (Failure failed = checkpoint_locked()) {
      if (failed.error != ENOSPC) return failed;
    }
  }
  if (!options_.read_only) (void)files_.prepare(1, false);
  recovery_.duration_us = static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - start).count());
  return {};
}

Failure VolumeStore::load_state() {
  const auto damaged = [this](const std::string& what) { return failure(EIO, "STORE_DAMAGED", what + " in " + disk_->path()); };
  std::vector<std::byte> bytes;
  if (map_file_.read_chain(superblock_.page_bitmap, &bytes, &bitmap_pages_) != 0) return damaged("the page bitmap is damaged");
  std::vector<uint64_t> words(bytes.size() / sizeof(uint64_t));
  if (!words.empty()) std::memcpy(words.data(), bytes.data(), words.size() * sizeof(uint64_t));
  if (words.empty()) words.push_back(0);  // a new store
  if (words[0] > words.size() - 1) return damaged("the page bitmap is cut short");
  const std::span<const uint64_t> content = std::span<const uint64_t>(words).subspan(1);
  if (!map_file_.load_bitmap(superblock_.map_pages, content.first(words[0]), content.subspan(words[0]))) {
    return damaged("the page bitmap makes no sense");
  }
  if (map_file_.read_chain(superblock_.segment_table, &bytes, &table_pages_) != 0) return damaged("the segment table is damaged");
  PersistedTable persisted;
  if (!decode_table(bytes, &persisted)) return damaged("the segment table makes no sense");
  uint64_t live = 0;
  uint64_t used = 0;
  for (const RawSegmentRecord& record : persisted.records) {
    if (record.id > kSegmentIdMax || uint64_t{record.base_slot} + record.slots > superblock_.slots) {
      return damaged("the segment table makes no sense");
    }
    auto view = std::make_unique<SegmentView>();
    view->id = record.id;
    view->file_number = record.file_number;
    view->base_slot = record.base_slot;
    view->slots = record.slots;
    view->index = record.index;
    view->salt = record.salt;
    view->cache_file = environment_.cache->new_file();
    table_.put(std::move(view));
    table_.states()[record.id] = {record.live, record.summary_hash};
    live += record.live;
    used += record.slots;
  }
  live_slots_ = live;
  used_slots_ = used;
  files_.load({}, persisted.pending_files, superblock_.next_file_number);
  if (map_file_.read_chain(superblock_.stragglers, &bytes, &straggler_pages_) != 0) return damaged("the straggler run is damaged");
  std::vector<DeltaEntry> stragglers(bytes.size() / sizeof(DeltaEntry));
  if (!stragglers.empty()) std::memcpy(stragglers.data(), bytes.data(), stragglers.size() * sizeof(DeltaEntry));
  for (const DeltaEntry& entry : stragglers) {
    if (entry.block >= blocks_) return damaged("the straggler run makes no sense");
  }
  delta_.thaw(stragglers);
  set_root({superblock_.map_root, superblock_.height});
  checkpoint_lsn_ = superblock_.checkpoint_lsn;
  return {};
}

// Segments that may hold entries after the checkpoint: the one that was active, and those opened since, which only their
// headers tell of. Every other file that no table names is free, if its making was not cut short: a file without all of
// its space must not be written to, since it could meet ENOSPC after the write was begun.
Failure VolumeStore::find_replay_segments(std::vector<ReplaySegment>* segments, std::vector<std::string>* cut_short) {
  std::vector<std::string> names;
  if (const int error = disk_->list(&names)) {
    return failure(error, "STORE_IO", "listing " + disk_->path() + ": " + std::strerror(error));
  }
  std::vector<uint32_t> free;
  uint32_t next_file = superblock_.next_file_number;
  std::vector<uint32_t> pending = files_.freed_pending();
  const SegmentView* active = table_.find(superblock_.active_segment_id);
  for (const std::string& name : names) {
    uint32_t number = 0;
    if (!SegmentFiles::parse(name, &number)) continue;
    next_file = std::max(next_file, number + 1);
    const bool is_active = active != nullptr && active->file_number == number;
    if (table_.users(number) > 0 && !is_active) continue;
    ReplaySegment segment;
    if (const int error = files_.open(number, &segment.file)) {
      return failure(error, "STORE_IO", "opening " + name + " in " + disk_->path() + ": " + std::strerror(error));
    }
    const bool valid = read_header(*segment.file, &segment.header) && segment.header.volume_id == superblock_.volume_id &&
                       segment.header.block_size == block_size_ && segment.header.slots == superblock_.slots;
    if (is_active && (!valid || segment.header.segment_id != active->id || !(segment.header.salt == active->salt))) {
      return failure(EIO, "STORE_DAMAGED", "both headers of the active segment " + name + " in " + disk_->path() + " are damaged");
    }
    const bool since = valid && segment.header.kind == kLogSegment && segment.header.segment_id >= superblock_.next_segment_id;
    if (is_active || since) {
      std::erase(pending, number);
      segments->push_back(std::move(segment));
    } else if (std::find(pending.begin(), pending.end(), number) == pending.end()) {
      uint64_t bytes = 0;
      if (segment.file->size(&bytes) == 0 && bytes >= files_.file_bytes()) {
        free.push_back(number);
      } else {
        cut_short->push_back(name);
      }
    }
  }
  std::sort(segments->begin(), segments->end(), [](const ReplaySegment& a, const ReplaySegment& b) {
    return a.header.segment_id < b.header.segment_id;
  });
  std::sort(free.rbegin(), free.rend());
  files_.load(std::move(free), std::move(pending), next_file);
  return {};
}

Failure VolumeStore::replay(std::vector<ReplaySegment>& segments) {
  uint64_t next_lsn = superblock_.next_lsn;
  uint64_t next_segment_id = superblock_.next_segment_id;
  for (ReplaySegment& segment : segments) {
    const RawSegmentHeader& header = segment.header;
    next_segment_id = std::max(next_segment_id, header.segment_id + 1);
    next_lsn = std::max(next_lsn, header.base_lsn + header.slots);
    segment.entries.resize(header.slots);
    if (const int error = segment.file->sync()) {
      return failure(error, "STORE_IO", "fdatasync of the journal in " + disk_->path() + ": " + std::strerror(error));
    }
    if (const int error = segment.file->read_medium(kSummaryOffset, segment.entries.data(), header.slots * sizeof(RawEntry))) {
      return failure(error, "STORE_IO", "reading the summary of segment " + std::to_string(header.segment_id) + " in " +
                                            disk_->path() + ": " + std::strerror(error));
    }
    if (table_.find(header.segment_id) == nullptr) {
      auto view = std::make_unique<SegmentView>();
      view->id = header.segment_id;
      view->file_number = header.file_number;
      view->slots = header.slots;
      view->salt = header.salt;
      view->cache_file = environment_.cache->new_file();
      table_.put(std::move(view));
      table_.states()[header.segment_id] = {};
    }
  }
  const DurableLsns durable = durable_lsns(segments);
  const ReplaySegment* previous = nullptr;
  for (ReplaySegment& segment : segments) {
    if (Failure failed = check_no_gap(previous, segment, durable)) return failed;
    if (Failure failed = replay_segment(segment, durable.at(segment.header.opening_lsn))) return failed;
    table_.states()[segment.header.segment_id].summary_hash =
        hash64(segment.entries.data(), segment.entries.size() * sizeof(RawEntry));
    previous = &segment;
  }
  journal_.start(next_lsn, next_segment_id);
  return {};
}

VolumeStore::DurableLsns VolumeStore::durable_lsns(const std::vector<ReplaySegment>& segments) const {
  DurableLsns durable;
  for (const ReplaySegment& segment : segments) {
    const RawSegmentHeader& header = segment.header;
    uint64_t& highest = durable.try_emplace(header.opening_lsn, superblock_.checkpoint_lsn).first->second;
    for (uint32_t slot = 0; slot < header.slots; slot++) {
      if (header.base_lsn + slot <= superblock_.checkpoint_lsn) continue;
      if (const auto entry = decode_entry(segment.entries[slot], header.salt, slot)) highest = std::max(highest, entry->durable_lsn);
    }
  }
  return durable;
}

// LSNs run on from segment to segment, but an opening that ended in a crash may have issued some of which nothing is left.
Failure VolumeStore::check_no_gap(const ReplaySegment* previous, const ReplaySegment& segment,
                                  const DurableLsns& durable) const {
  const RawSegmentHeader& header = segment.header;
  const uint64_t expected = previous == nullptr ? superblock_.checkpoint_lsn + 1
                                                : previous->header.base_lsn + previous->header.slots;
  const bool earlier = previous != nullptr && expected < std::min(header.opening_lsn, header.base_lsn) &&
                       expected <= durable.at(previous->header.opening_lsn);
  const uint64_t own = std::max(expected, header.opening_lsn);
  if (!earlier && (own >= header.base_lsn || own > durable.at(header.opening_lsn))) return {};
  return durable_lost(segment, "a segment with durable entries is missing before the first slot");
}

Failure VolumeStore::durable_lost(const ReplaySegment& segment, const std::string& what) const {
  return failure(EIO, "STORE_DAMAGED",
                 what + ", in segment " + std::to_string(segment.header.segment_id) + " (" +
                     SegmentFiles::name(segment.header.file_number) + " in " + disk_->path() +
                     "): what was flushed there cannot be told, so the volume is not opened");
}

void VolumeStore::note_replay_damage(const ReplaySegment& segment, uint32_t slot, const char* kind, std::string detail) {
  recovery_.damaged_entries++;
  damage_.add({.kind = kind,
               .file = SegmentFiles::name(segment.header.file_number),
               .file_offset_bytes = kSummaryOffset + uint64_t{slot} * sizeof(RawEntry),
               .volume_offset_bytes = UINT64_MAX,
               .segment = segment.header.segment_id,
               .slot = slot,
               .detail = std::move(detail)});
}

// A durable entry that is lost would leave its block, we cannot tell which, at an older value: rather than return that as
// data, the store is not opened. Damage to a single byte is undone, which the payload's tag confirms.
Failure VolumeStore::replay_segment(ReplaySegment& segment, uint64_t durable) {
  const RawSegmentHeader& header = segment.header;
  const auto lost = [&](const std::string& what) { return durable_lost(segment, what); };
  PayloadWindow window(*segment.file, payload_at_, block_size_, header.slots);
  for (uint32_t slot = 0; slot < header.slots; slot++) {
    const uint64_t lsn = header.base_lsn + slot;
    if (lsn <= superblock_.checkpoint_lsn) continue;
    const auto payload_matches = [&](const Entry& entry) {
      const std::byte* block = window.block(slot);
      return block != nullptr && entry.tag == block_tag(block, block_size_, header.salt, slot, entry.block);
    };
    const auto readable = [&] { return window.block(slot) != nullptr; };
    auto entry = decode_entry(segment.entries[slot], header.salt, slot);
    if (!entry.has_value() || entry->lsn != lsn) {
      if (lsn > durable) continue;  // never acknowledged, or torn
      entry = repair_entry(segment.entries[slot], header.salt, slot, lsn, payload_matches);
      if (!entry.has_value()) return lost("a durable summary entry, slot " + std::to_string(slot) + ", is damaged beyond repair");
      note_replay_damage(segment, slot, "summary", "a durable entry failed its check; one byte was wrong and was put right");
      segment.entries[slot] = encode_entry(*entry, header.salt, slot);
      segment.repaired.push_back(slot);
    }
    if (entry->flags == kEntryVoid) continue;
    if (entry->flags == kEntryData) {
      // Below the durable LSN the payload is as safe as any, and verified when it is read. One that cannot be read is not
      // torn but bad: its block is EIO, rather than what it held before.
      if (lsn > durable && (entry->block >= blocks_ || (!payload_matches(*entry) && readable()))) {
        recovery_.torn_entries++;
        continue;
      }
      if (entry->block >= blocks_) return lost("slot " + std::to_string(slot) + " names a block beyond the volume's end");
      delta_.publish(entry->block, 1, Location(header.segment_id, slot));
    } else {
      if (!payload_matches(*entry) || apply_record(window.block(slot), Location(header.segment_id, slot, true)) != 0) {
        if (!readable()) return lost("a discard record, slot " + std::to_string(slot) + ", cannot be read");
        if (lsn <= durable) return lost("a durable discard record, slot " + std::to_string(slot) + ", is damaged");
        recovery_.torn_entries++;
        continue;
      }
    }
    recovery_.replayed_entries++;
  }
  return {};
}

int VolumeStore::apply_record(const std::byte* block, Location location) {
  uint32_t head[2] = {};
  std::memcpy(head, block, sizeof head);
  if (head[0] != kDiscardMagic || head[1] > (block_size_ - sizeof head) / 16) return EIO;
  for (uint32_t i = 0; i < head[1]; i++) {
    uint64_t range[2] = {};
    std::memcpy(range, block + sizeof head + i * sizeof range, sizeof range);
    if (range[0] > range[1] || range[1] > blocks_) return EIO;
    delta_.discard(range[0], range[1], location);
  }
  return 0;
}

}  // namespace galleonfs::store
