// The journal after the checkpoint: what opening the volume would replay, and whether it could.
#include <algorithm>
#include <cerrno>
#include <cstring>

#include "checker.h"
#include "segment_files.h"

namespace galleonfs::store {
namespace {

constexpr const char* kRefused = ": what was flushed there cannot be told, so the volume cannot be opened";

}  // namespace

struct Checker::Tail {
  RawSegmentHeader header;
  uint32_t file_number = 0;
  std::unique_ptr<disk::File> file;
  disk::AlignedBuffer summary;
  RawEntry* entries() { return reinterpret_cast<RawEntry*>(summary.data()); }
};

void Checker::check_journal() {
  const RawSuperblock& superblock = base_.superblock;
  delta_.thaw(base_.stragglers);
  const Segment* active = segment_of(superblock.active_segment_id);
  const auto& pending = base_.table.pending_files;
  std::vector<uint32_t> in_use;
  for (const Segment& segment : segments_) in_use.push_back(segment.record.file_number);
  std::sort(in_use.begin(), in_use.end());
  const size_t summary_bytes = (superblock.slots * sizeof(RawEntry) + kPageBytes - 1) / kPageBytes * kPageBytes;
  std::vector<Tail> tails;
  for (const auto& [number, bytes] : files_) {
    const bool is_active = active != nullptr && active->record.file_number == number;
    if (!is_active && std::binary_search(in_use.begin(), in_use.end(), number)) continue;
    std::unique_ptr<disk::File> file;
    if (disk_.open(SegmentFiles::name(number), false, &file) != 0) continue;
    RawSegmentHeader header;
    bool valid = false;
    for (uint32_t copy = 0; copy < 2 && !valid; copy++) {
      if (read(*file, copy * kPageBytes, payload_.data(), kPageBytes) != 0) continue;
      std::memcpy(&header, payload_.data(), sizeof header);
      valid = valid_segment_header(header) && header.volume_id == superblock.volume_id && header.block_size == block_size_ &&
              header.slots == superblock.slots && header.base_lsn <= kLsnMax && header.opening_lsn <= header.base_lsn &&
              header.segment_id <= kSegmentIdMax;
    }
    if (is_active && (!valid || header.segment_id != active->record.id || !(header.salt == active->record.salt))) {
      find(Severity::damage, {.kind = "segment header",
                              .file = SegmentFiles::name(number),
                              .file_offset_bytes = 0,
                              .volume_offset_bytes = UINT64_MAX,
                              .segment = active->record.id,
                              .slot = 0,
                              .detail = "both headers of the active segment are damaged: the volume cannot be opened"});
      continue;
    }
    const bool since = valid && header.kind == kLogSegment && header.segment_id >= superblock.next_segment_id;
    const bool is_pending = std::find(pending.begin(), pending.end(), number) != pending.end();
    if (!is_active && !since) {
      (is_pending ? report_.files_pending : report_.files_free)++;
      if (bytes < file_bytes_ && !is_pending) {
        find(Severity::note, {.kind = "segment file",
                              .file = SegmentFiles::name(number),
                              .file_offset_bytes = bytes,
                              .volume_offset_bytes = UINT64_MAX,
                              .segment = 0,
                              .slot = 0,
                              .detail = "is free and not at its full length yet"});
      }
      continue;
    }
    if (since) report_.files_replayed++;
    tails.push_back({header, number, std::move(file), disk::AlignedBuffer(summary_bytes)});
  }
  std::sort(tails.begin(), tails.end(),
            [](const Tail& a, const Tail& b) { return a.header.segment_id < b.header.segment_id; });
  DurableLsns durable;
  for (Tail& tail : tails) {
    if (const int error = read(*tail.file, kSummaryOffset, tail.summary.data(), tail.summary.size())) {
      find(Severity::damage, {.kind = "summary",
                              .file = SegmentFiles::name(tail.file_number),
                              .file_offset_bytes = kSummaryOffset,
                              .volume_offset_bytes = UINT64_MAX,
                              .segment = tail.header.segment_id,
                              .slot = 0,
                              .detail = std::string("of the journal cannot be read, so the volume cannot be opened: ") +
                                        std::strerror(error)});
      std::memset(tail.summary.data(), 0, tail.summary.size());
    }
    uint64_t& highest = durable.try_emplace(tail.header.opening_lsn, superblock.checkpoint_lsn).first->second;
    for (uint32_t slot = 0; slot < tail.header.slots; slot++) {
      if (tail.header.base_lsn + slot <= superblock.checkpoint_lsn) continue;
      if (const auto entry = decode_entry(tail.entries()[slot], tail.header.salt, slot)) {
        highest = std::max(highest, entry->durable_lsn);
      }
    }
  }
  const Tail* previous = nullptr;
  for (Tail& tail : tails) {
    if (!segment_index_.contains(tail.header.segment_id)) {
      Segment segment;
      segment.record.id = tail.header.segment_id;
      segment.record.file_number = tail.file_number;
      segment.record.slots = tail.header.slots;
      segment.record.salt = tail.header.salt;
      segment_index_[segment.record.id] = segments_.size();
      segments_.push_back(std::move(segment));
      report_.segments++;
      last_segment_ = SIZE_MAX;
    }
    segment_of(tail.header.segment_id)->replayed = true;
    if (gap_before(previous, tail, durable)) {
      find(Severity::damage, {.kind = "journal",
                              .file = SegmentFiles::name(tail.file_number),
                              .file_offset_bytes = 0,
                              .volume_offset_bytes = UINT64_MAX,
                              .segment = tail.header.segment_id,
                              .slot = 0,
                              .detail = std::string("a segment with durable entries is missing before this one") + kRefused});
    }
    replay(tail, durable.at(tail.header.opening_lsn));
    previous = &tail;
  }
}

// LSNs run on from segment to segment, but an opening that ended in a crash may have issued some of which nothing is left.
bool Checker::gap_before(const Tail* previous, const Tail& tail, const DurableLsns& durable) const {
  const RawSegmentHeader& header = tail.header;
  const uint64_t expected = previous == nullptr ? base_.superblock.checkpoint_lsn + 1
                                                : previous->header.base_lsn + previous->header.slots;
  const bool earlier = previous != nullptr && expected < std::min(header.opening_lsn, header.base_lsn) &&
                       expected <= durable.at(previous->header.opening_lsn);
  const uint64_t own = std::max(expected, header.opening_lsn);
  return earlier || (own < header.base_lsn && own <= durable.at(header.opening_lsn));
}

void Checker::replay(Tail& tail, uint64_t durable) {
  const RawSegmentHeader& header = tail.header;
  const auto wrong = [&](Severity severity, uint32_t slot, std::string detail, std::string repair = {}) {
    find(severity, {.kind = "journal",
                    .file = SegmentFiles::name(tail.file_number),
                    .file_offset_bytes = kSummaryOffset + uint64_t{slot} * sizeof(RawEntry),
                    .volume_offset_bytes = UINT64_MAX,
                    .segment = header.segment_id,
                    .slot = slot,
                    .detail = std::move(detail)},
         std::move(repair));
  };
  std::byte* block = payload_.data();
  for (uint32_t slot = 0; slot < header.slots && going(); slot++) {
    const uint64_t lsn = header.base_lsn + slot;
    if (lsn <= base_.superblock.checkpoint_lsn) continue;
    RawEntry& raw = tail.entries()[slot];
    bool have_payload = false;
    const auto readable = [&] {
      const uint64_t offset = payload_at_ + (uint64_t{slot} << block_shift_);
      have_payload = have_payload || read(*tail.file, offset, block, block_size_) == 0;
      return have_payload;
    };
    const auto payload_matches = [&](const Entry& entry) {
      return readable() && entry.tag == block_tag(block, block_size_, header.salt, slot, entry.block);
    };
    auto entry = decode_entry(raw, header.salt, slot);
    if (!entry.has_value() || entry->lsn != lsn) {
      if (lsn > durable) continue;  // never acknowledged, or torn
      entry = repair_entry(raw, header.salt, slot, lsn, payload_matches);
      if (!entry.has_value()) {
        wrong(Severity::damage, slot, "a durable entry is damaged beyond repair" + std::string(kRefused));
        continue;
      }
      raw = encode_entry(*entry, header.salt, slot);
      mended_[Location(header.segment_id, slot).raw()] = raw;
      plan_.entries.push_back({tail.file_number, slot, raw});
      wrong(Severity::error, slot, "a durable entry has one wrong byte", "put the byte right");
    }
    if (entry->flags == kEntryVoid) continue;
    if (entry->flags == kEntryData) {
      if (lsn > durable && (entry->block >= blocks_ || (!payload_matches(*entry) && readable()))) {
        report_.torn_entries++;
        continue;
      }
      if (entry->block >= blocks_) {
        wrong(Severity::damage, slot, "an entry names a block beyond the volume's end" + std::string(kRefused));
        continue;
      }
      delta_.publish(entry->block, 1, Location(header.segment_id, slot));
    } else if (!payload_matches(*entry) || !apply_record(block, Location(header.segment_id, slot, true))) {
      if (lsn <= durable || !readable()) {
        wrong(Severity::damage, slot, "a durable discard record is damaged" + std::string(kRefused));
      } else {
        report_.torn_entries++;
      }
      continue;
    }
    report_.replay_entries++;
  }
}

bool Checker::apply_record(const std::byte* block, Location location) {
  uint32_t head[2] = {};
  std::memcpy(head, block, sizeof head);
  if (head[0] != kDiscardMagic || head[1] > (block_size_ - sizeof head) / 16) return false;
  for (uint32_t i = 0; i < head[1]; i++) {
    uint64_t range[2] = {};
    std::memcpy(range, block + sizeof head + i * sizeof range, sizeof range);
    if (range[0] > range[1] || range[1] > blocks_) return false;
    delta_.discard(range[0], range[1], location);
  }
  return true;
}

}  // namespace galleonfs::store
