// The segments, in the order they lie on the disk: headers, summaries, and every live block against its entry and tag.
#include <algorithm>
#include <cerrno>
#include <cstring>

#include "checker.h"
#include "segment_files.h"

namespace galleonfs::store {
namespace {

constexpr size_t kProblemsKept = 64 << 10;
constexpr size_t kResolvedAtOnce = 64;  // segments; bounds the memory for their blocks

uint64_t mix(uint64_t block, uint32_t slot) {
  const uint64_t pair[2] = {block, slot};
  return hash64(pair, sizeof pair);
}

Damage in_file(const char* kind, uint32_t file, uint64_t offset, uint64_t segment, std::string detail) {
  return {.kind = kind,
          .file = SegmentFiles::name(file),
          .file_offset_bytes = offset,
          .volume_offset_bytes = UINT64_MAX,
          .segment = segment,
          .slot = 0,
          .detail = std::move(detail)};
}

}  // namespace

uint64_t Checker::payload_offset_of(const Segment& segment, uint32_t physical) const {
  return payload_at_ + (uint64_t{segment.record.base_slot + physical} << block_shift_);
}

Damage Checker::place_of(const Segment& segment, uint32_t slot, uint32_t physical, bool payload, uint64_t block) const {
  const uint64_t entry_at = kSummaryOffset + uint64_t{segment.record.base_slot + physical} * sizeof(RawEntry);
  Damage place = in_file(payload ? "payload" : "summary", segment.record.file_number,
                         payload ? payload_offset_of(segment, physical) : entry_at, segment.record.id, "");
  if (block != UINT64_MAX) place.volume_offset_bytes = block << block_shift_;
  place.slot = slot;
  return place;
}

void Checker::check_segments() {
  std::map<uint32_t, std::vector<Segment*>> by_file;
  for (Segment& segment : segments_) by_file[segment.record.file_number].push_back(&segment);
  for (auto& [number, segments] : by_file) {
    if (!going()) return;
    std::sort(segments.begin(), segments.end(),
              [](const Segment* a, const Segment* b) { return a->record.base_slot < b->record.base_slot; });
    check_file(number, segments);
  }
  check_order();
  resolve();
}

void Checker::check_file(uint32_t number, std::vector<Segment*>& segments) {
  const auto listed = files_.find(number);
  std::unique_ptr<disk::File> file;
  if (listed == files_.end() || disk_.open(SegmentFiles::name(number), false, &file) != 0) {
    for (const Segment* segment : segments) {
      report_.lost_blocks += segment->live;
      find(segment->live > 0 ? Severity::damage : Severity::error,
           in_file("segment file", number, 0, segment->record.id,
                   "is missing, with " + std::to_string(segment->live) + " live blocks"));
    }
    return;
  }
  if (listed->second < file_bytes_) {
    find(Severity::error, in_file("segment file", number, listed->second, segments.front()->record.id,
                                  "is shorter than " + std::to_string(file_bytes_) + " bytes"));
  }
  check_headers(*file, segments);
  for (Segment* segment : segments) check_segment(*file, *segment);
}

void Checker::check_headers(disk::File& file, std::vector<Segment*>& segments) {
  const Segment& first = *segments.front();
  const uint32_t number = first.record.file_number;
  const uint32_t kind = first.record.index ? kCompactedSegment : kLogSegment;
  RawSegmentHeader headers[2];
  bool good[2] = {};
  for (uint32_t copy = 0; copy < 2; copy++) {
    if (read(file, copy * kPageBytes, payload_.data(), kPageBytes) != 0) continue;
    RawSegmentHeader& header = headers[copy];
    std::memcpy(&header, payload_.data(), sizeof header);
    good[copy] = valid_segment_header(header) && header.volume_id == base_.superblock.volume_id &&
                 header.file_number == number && header.block_size == block_size_ &&
                 header.slots == base_.superblock.slots && header.salt == first.record.salt && header.kind == kind &&
                 (kind == kCompactedSegment || header.segment_id == first.record.id);
  }
  for (uint32_t copy = 0; copy < 2; copy++) {
    if (good[copy]) continue;
    const bool other = good[1 - copy];
    // Of a segment that no checkpoint knows yet, a power cut may tear one copy: recovery writes it anew.
    find(other && !first.in_table ? Severity::note : Severity::error,
         in_file("segment header", number, copy * kPageBytes, first.record.id,
                 other ? "fails its check; the other copy is good" : "fails its check, and so does the other copy"),
         other ? "write it anew from the other copy" : "");
    if (other) plan_.headers.push_back({number, copy, headers[1 - copy]});
  }
  if (kind == kLogSegment && (good[0] || good[1])) {
    segments.front()->headed = true;
    segments.front()->base_lsn = headers[good[0] ? 0 : 1].base_lsn;
  }
}

bool Checker::load_index(const Segment& segment, std::byte* page) {
  const PagePointer& index = segment.record.index;
  const auto wrong = [&](std::string detail) {
    report_.lost_blocks += segment.live;
    find(Severity::damage, {.kind = "slot index",
                            .file = "map",
                            .file_offset_bytes = index.page * kPageBytes,
                            .volume_offset_bytes = UINT64_MAX,
                            .segment = segment.record.id,
                            .slot = 0,
                            .detail = detail + ": " + std::to_string(segment.live) + " live blocks cannot be found"});
    return false;
  };
  if (!read_page(index, page)) return wrong("does not match the hash the table holds");
  uint32_t kept = 0;
  for (uint32_t slot = 0; slot < base_.superblock.slots; slot++) {
    const int64_t physical = find_in_slot_index(page, slot);
    if (physical >= 0 && physical != kept++) return wrong("counts its slots wrongly");
  }
  return kept == segment.record.slots ? true : wrong("has another number of slots than the table");
}

void Checker::check_segment(disk::File& file, Segment& segment) {
  const RawSegmentRecord& record = segment.record;
  alignas(8) std::byte index[kPageBytes];
  if (record.index && !load_index(segment, index)) return;
  // Whole pages of the summary around the segment's part of it.
  const uint64_t from = kSummaryOffset + uint64_t{record.base_slot} * sizeof(RawEntry);
  const uint64_t start = from / kPageBytes * kPageBytes;
  const uint64_t end = (from + record.slots * sizeof(RawEntry) + kPageBytes - 1) / kPageBytes * kPageBytes;
  disk::AlignedBuffer summary(std::max<uint64_t>(end - start, kPageBytes));
  Hurt hurt{&segment, {}, {}};
  if (const int error = read(file, start, summary.data(), end - start)) {
    find(Severity::error, in_file("summary", record.file_number, start, record.id,
                                  std::string("cannot be read: ") + std::strerror(error)));
    std::memset(summary.data(), 0, summary.size());
  }
  auto* entries = reinterpret_cast<RawEntry*>(summary.data() + (from - start));
  const std::span<RawEntry> part(entries, record.slots);
  const bool sealed = record.summary_hash != 0 && !segment.active;
  const bool as_sealed = !sealed || hash64(part.data(), part.size_bytes()) == record.summary_hash;
  uint64_t sum = 0;
  std::vector<std::pair<uint32_t, uint32_t>> slots;  // live ones whose entry is good, and where they are
  for (uint32_t slot = 0; slot < base_.superblock.slots && !segment.live_slots.empty(); slot++) {
    if ((segment.live_slots[slot / 64] >> slot % 64 & 1) == 0) continue;
    const int64_t physical = record.index ? find_in_slot_index(index, slot) : slot;
    if (physical < 0 || physical >= record.slots) {
      hurt.problems.push_back({slot, 0, Fault::slot, 0});
      continue;
    }
    const auto at = static_cast<uint32_t>(physical);
    if (const auto mended = mended_.find(Location(record.id, slot).raw()); mended != mended_.end()) part[at] = mended->second;
    const auto entry = decode_entry(part[at], record.salt, record.base_slot + at);
    if (!entry.has_value() || entry->flags != kEntryData || entry->block >= blocks_ ||
        (segment.headed && entry->lsn != segment.base_lsn + slot)) {
      hurt.problems.push_back({slot, at, Fault::entry, 0});
      continue;
    }
    sum += mix(entry->block, slot);
    slots.emplace_back(slot, at);
  }
  const bool entries_good = hurt.problems.empty();
  check_payload(file, segment, part, slots, &hurt);
  if (!as_sealed && entries_good) {
    find(Severity::error, in_file("summary", record.file_number, from, record.id,
                                  "differs from when it was sealed, in entries of blocks that are not live"),
         "seal it anew");
    segment.record.summary_hash = hash64(part.data(), part.size_bytes());
    plan_.rewrite_tables = true;
  }
  if (hurt.problems.empty() && (!entries_good || sum == segment.map_sum)) return;
  problems_kept_ += hurt.problems.size();
  if (problems_kept_ > kProblemsKept) {
    report_.lost_blocks += hurt.problems.size();
    find(Severity::damage, in_file("payload", record.file_number, payload_at_, record.id,
                                   std::to_string(hurt.problems.size()) + " blocks of the segment are damaged"));
    return;
  }
  hurt_.push_back(std::move(hurt));
}

void Checker::check_payload(disk::File& file, Segment& segment, std::span<const RawEntry> entries,
                            const std::vector<std::pair<uint32_t, uint32_t>>& slots, Hurt* hurt) {
  const RawSegmentRecord& record = segment.record;
  const size_t run_max = payload_.size() >> block_shift_;
  for (size_t i = 0; i < slots.size() && going();) {
    size_t end = i + 1;
    while (end < slots.size() && end - i < run_max && slots[end].second == slots[end - 1].second + 1) end++;
    const int run_error = read(file, payload_offset_of(segment, slots[i].second), payload_.data(), (end - i) << block_shift_);
    for (size_t k = i; k < end; k++) {
      const auto [slot, physical] = slots[k];
      std::byte* bytes = payload_.data() + ((k - i) << block_shift_);
      // Of a run that cannot be read, find the blocks that can.
      const int error = run_error == 0 ? 0 : read(file, payload_offset_of(segment, physical), bytes, block_size_);
      const auto entry = decode_entry(entries[physical], record.salt, record.base_slot + physical);
      if (error != 0) {
        hurt->problems.push_back({slot, physical, Fault::unreadable, error});
      } else if (!(entry->tag == block_tag(bytes, block_size_, record.salt, record.base_slot + physical, entry->block))) {
        hurt->problems.push_back({slot, physical, Fault::payload, 0});
      } else {
        report_.verified_blocks++;
      }
    }
    i = end;
  }
}

// LSNs run on from segment to segment, up to what the superblock says.
void Checker::check_order() {
  std::vector<const Segment*> logs;
  for (const Segment& segment : segments_) {
    if (segment.headed) logs.push_back(&segment);
  }
  std::sort(logs.begin(), logs.end(), [](const Segment* a, const Segment* b) { return a->record.id < b->record.id; });
  for (size_t i = 0; i < logs.size(); i++) {
    const Segment& segment = *logs[i];
    const auto wrong = [&](std::string detail) {
      find(Severity::error, in_file("segment header", segment.record.file_number, 0, segment.record.id, std::move(detail)));
    };
    if (i > 0 && segment.base_lsn < logs[i - 1]->base_lsn + logs[i - 1]->record.slots) {
      wrong("begins before segment " + std::to_string(logs[i - 1]->record.id) + " ends");
    }
    const uint64_t end = segment.base_lsn + (segment.active ? 0 : segment.record.slots);
    if (!segment.replayed && end > base_.superblock.next_lsn) wrong("holds LSNs that were not given out yet");
  }
}

// Walks the map again for the logical blocks of damaged slots, some segments at a time.
void Checker::resolve() {
  for (size_t first = 0; first < hurt_.size() && going(); first += kResolvedAtOnce) {
    const size_t end = std::min(first + kResolvedAtOnce, hurt_.size());
    std::unordered_map<uint64_t, Hurt*> by_segment;
    for (size_t i = first; i < end; i++) {
      hurt_[i].blocks.assign(base_.superblock.slots, UINT64_MAX);
      by_segment[hurt_[i].segment->record.id] = &hurt_[i];
    }
    walk(
        [&](uint64_t block, Location location) {
          const auto found = by_segment.find(location.segment());
          if (found != by_segment.end() && location.slot() < base_.superblock.slots) found->second->blocks[location.slot()] = block;
        },
        [](uint64_t, Location) {});
    for (size_t i = first; i < end; i++) {
      resolve_segment(hurt_[i]);
      hurt_[i].blocks = {};
    }
  }
}

void Checker::resolve_segment(Hurt& hurt) {
  const Segment& segment = *hurt.segment;
  std::unique_ptr<disk::File> file;
  if (disk_.open(SegmentFiles::name(segment.record.file_number), false, &file) != 0) return;
  for (const Problem& problem : hurt.problems) resolve_problem(hurt, problem, file.get());
  // Entries that are good, but of other blocks than the map says.
  alignas(8) std::byte index[kPageBytes];
  if (segment.record.index && !read_page(segment.record.index, index)) return;
  uint64_t page_read = UINT64_MAX;
  for (uint32_t slot = 0; slot < base_.superblock.slots; slot++) {
    if (hurt.blocks[slot] == UINT64_MAX) continue;
    const int64_t physical = segment.record.index ? find_in_slot_index(index, slot) : slot;
    if (physical < 0 || physical >= segment.record.slots) continue;
    const auto in_file = static_cast<uint32_t>(segment.record.base_slot + physical);
    const uint64_t page = (kSummaryOffset + uint64_t{in_file} * sizeof(RawEntry)) / kPageBytes * kPageBytes;
    if (page != page_read && read(*file, page, payload_.data(), kPageBytes) != 0) continue;
    page_read = page;
    const RawEntry& raw = reinterpret_cast<const RawEntry*>(payload_.data())[in_file % kEntriesPerPage];
    const auto entry = decode_entry(raw, segment.record.salt, in_file);
    if (!entry.has_value() || entry->flags != kEntryData || entry->block == hurt.blocks[slot]) continue;
    Damage place = place_of(segment, slot, static_cast<uint32_t>(physical), false, hurt.blocks[slot]);
    place.detail = "the entry is for the block at " + std::to_string(entry->block << block_shift_) + ", not for the one the map says";
    report_.lost_blocks++;
    find(Severity::damage, std::move(place));
  }
}

void Checker::resolve_problem(Hurt& hurt, const Problem& problem, disk::File* file) {
  const Segment& segment = *hurt.segment;
  const uint64_t block = hurt.blocks[problem.slot];
  Damage place = place_of(segment, problem.slot, problem.physical, problem.fault != Fault::entry, block);
  if (problem.fault == Fault::slot) {
    place.kind = "slot index";
    place.file = "map";
    place.file_offset_bytes = segment.record.index.page * kPageBytes;
    place.detail = "does not have a slot the map names";
  } else if (problem.fault == Fault::unreadable) {
    place.detail = std::string("cannot be read: ") + std::strerror(problem.error);
  } else if (problem.fault == Fault::payload) {
    place.detail = "the block does not match its tag";
  } else {
    const uint32_t in_file = segment.record.base_slot + problem.physical;
    const uint64_t page = place.file_offset_bytes / kPageBytes * kPageBytes;
    std::byte* bytes = payload_.data();
    RawEntry raw;
    std::optional<Entry> entry;
    if (read(*file, page, bytes, kPageBytes) == 0) {
      std::memcpy(&raw, bytes + (place.file_offset_bytes - page), sizeof raw);
      if (read(*file, payload_offset_of(segment, problem.physical), bytes, block_size_) == 0) {
        entry = repair_entry(raw, segment.record.salt, in_file, [&](const Entry& candidate) {
          return candidate.block == block && candidate.flags == kEntryData &&
                 (!segment.headed || candidate.lsn == segment.base_lsn + problem.slot) &&
                 candidate.tag == block_tag(bytes, block_size_, segment.record.salt, in_file, block);
        });
      }
    }
    if (entry.has_value()) {
      place.detail = "the entry has one wrong byte, as the payload's tag confirms";
      plan_.entries.push_back({segment.record.file_number, in_file, encode_entry(*entry, segment.record.salt, in_file)});
      find(Severity::error, std::move(place), "put the byte right");
      return;
    }
    place.detail = "the entry fails its check or is for another block";
  }
  report_.lost_blocks++;
  find(Severity::damage, std::move(place));
}

}  // namespace galleonfs::store
