#include "check.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "checker.h"
#include "map_tree.h"
#include "segment_files.h"

namespace galleonfs::store {
namespace {

constexpr size_t kFindingsKept = 1000;
constexpr size_t kPayloadBytes = 1 << 20;
constexpr uint32_t kMapLevelsMax = 8;

Damage in_superblock(int slot, std::string detail) {
  return {.kind = "superblock",
          .file = "superblock",
          .file_offset_bytes = static_cast<uint64_t>(slot) * kPageBytes,
          .volume_offset_bytes = UINT64_MAX,
          .segment = 0,
          .slot = 0,
          .detail = std::move(detail)};
}

Damage in_directory(std::string file, std::string detail) {
  return {.kind = "directory",
          .file = std::move(file),
          .file_offset_bytes = 0,
          .volume_offset_bytes = UINT64_MAX,
          .segment = 0,
          .slot = 0,
          .detail = std::move(detail)};
}

}  // namespace

StoreCheck::StoreCheck(std::unique_ptr<disk::Disk> disk) : disk_(std::move(disk)), plan_(new RepairPlan) {}
StoreCheck::~StoreCheck() = default;

Failure StoreCheck::begin(std::unique_ptr<disk::Disk> disk, std::unique_ptr<StoreCheck>* check) {
  if (const int error = disk->lock()) {
    return {EBUSY, "STORE_LOCKED",
            disk->path() + " is in use: a check needs the volume closed (" + std::strerror(error) + ")"};
  }
  std::unique_ptr<disk::File> file;
  if (const int error = disk->open("superblock", false, &file)) {
    if (error == ENOENT) return {ENOENT, "STORE_NOT_FOUND", "no volume store in " + disk->path()};
    return {error, "STORE_IO", "opening the superblock in " + disk->path() + ": " + std::strerror(error)};
  }
  check->reset(new StoreCheck(std::move(disk)));
  return {};
}

Failure StoreCheck::check(CheckReport* report) {
  const auto start = std::chrono::steady_clock::now();
  *report = {};
  *plan_ = {};
  progress_.done_bytes = 0;
  Failure failed = Checker(*disk_, progress_, *report, *plan_).run();
  report->read_bytes = progress_.done_bytes;
  report->duration_us = static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - start).count());
  return failed;
}

Failure StoreCheck::repair() {
  if (const int error = carry_out(*disk_, *plan_)) {
    const char* code = error == ENOSPC ? "STORE_NO_SPACE" : "STORE_IO";
    return {error, code, "repairing the store in " + disk_->path() + ": " + std::strerror(error)};
  }
  return {};
}

Checker::Checker(disk::Disk& disk, CheckProgress& progress, CheckReport& report, RepairPlan& plan)
    : disk_(disk), progress_(progress), report_(report), plan_(plan), payload_(kPayloadBytes) {
  for (uint32_t i = 0; i < kMapLevelsMax; i++) level_pages_.emplace_back(kPageBytes);
}

Failure Checker::run() {
  if (const int error = disk_.open("map", false, &map_file_)) {
    if (error != ENOENT) return {error, "STORE_IO", "opening the map in " + disk_.path() + ": " + std::strerror(error)};
    find(Severity::damage, in_directory("map", "is missing: the volume cannot be opened"));
    return {};
  }
  uint64_t bytes = 0;
  if (map_file_->size(&bytes) == 0) map_file_pages_ = bytes / kPageBytes;
  if (Failure failed = read_superblocks()) return failed;
  if (plan_.base_slot < 0) return {};
  if (Failure failed = list_files()) return failed;
  check_table();
  check_journal();
  check_map();
  check_older();
  account_pages();
  check_liveness();
  check_segments();
  plan_tables();
  if (!going()) return {ECANCELED, "OPERATION_CANCELLED", "the check of " + disk_.path() + " was cancelled"};
  return {};
}

void Checker::find(Severity severity, Damage place, std::string repair) {
  (severity == Severity::note ? report_.notes : severity == Severity::error ? report_.errors : report_.damages)++;
  if (report_.findings.size() < kFindingsKept) report_.findings.push_back({severity, std::move(place), std::move(repair)});
}

int Checker::read(disk::File& file, uint64_t offset, void* into, size_t length) {
  progress_.done_bytes.fetch_add(length, std::memory_order_relaxed);
  return file.read_medium(offset, into, length);
}

Failure Checker::read_superblocks() {
  std::unique_ptr<disk::File> file;
  if (const int error = disk_.open("superblock", false, &file)) {
    return {error, "STORE_IO", "opening the superblock in " + disk_.path() + ": " + std::strerror(error)};
  }
  Superblocks found;
  for (int slot = 0; slot < 2; slot++) {
    std::byte* page = payload_.data();
    if (read(*file, static_cast<uint64_t>(slot) * kPageBytes, page, kPageBytes) != 0) continue;
    std::memcpy(&found.slots[slot], page, kPageBytes);
    found.states[slot] = check_superblock(found.slots[slot]);
    if (found.states[slot] == SuperblockState::newer_format) {
      return {EPROTONOSUPPORT, "STORE_FORMAT_NEWER",
              "the store in " + disk_.path() + " was written by a newer version; upgrade to check it"};
    }
  }
  const int newest = found.newest();
  if (newest < 0) {
    find(Severity::damage, in_superblock(0, "fails its check, and so does the other: the volume cannot be opened"));
    find(Severity::damage, in_superblock(1, "fails its check, and so does the other: the volume cannot be opened"));
    return {};
  }
  for (int attempt = 0; attempt < 2; attempt++) {
    const int slot = attempt == 0 ? newest : 1 - newest;
    Tables tables;
    std::string problem;
    Damage place;
    if (found.states[slot] != SuperblockState::valid) {
      problem = "fails its check; the other one is used";
    } else if (!load_tables(found.slots[slot], &tables, &problem, &place)) {
      problem = "leads to tables that are damaged (" + problem + ")";
    } else if (plan_.base_slot < 0) {
      plan_.base_slot = slot;
      base_ = std::move(tables);
      continue;
    } else if (tables.superblock.volume_id != base_.superblock.volume_id ||
               tables.superblock.size_bytes != base_.superblock.size_bytes ||
               tables.superblock.block_size != base_.superblock.block_size ||
               tables.superblock.slots != base_.superblock.slots) {
      problem = "belongs to another volume than the other one";
    } else {
      older_ = std::make_unique<Tables>(std::move(tables));
      continue;
    }
    const bool last = attempt == 1 && plan_.base_slot < 0;
    if (!place.kind.empty()) find(last ? Severity::damage : Severity::error, place);
    find(last ? Severity::damage : Severity::error, in_superblock(slot, problem),
         last ? "" : "write it anew from the other one");
    plan_.rewrite_other_superblock = true;
  }
  if (plan_.base_slot < 0) {
    find(Severity::damage, in_superblock(newest, "no superblock leads to whole tables: the volume cannot be opened"));
    return {};
  }
  const RawSuperblock& superblock = base_.superblock;
  plan_.base = superblock;
  block_size_ = superblock.block_size;
  block_shift_ = static_cast<uint32_t>(std::countr_zero(block_size_));
  blocks_ = superblock.size_bytes >> block_shift_;
  payload_at_ = payload_offset(superblock.slots);
  file_bytes_ = payload_at_ + uint64_t{superblock.slots} * block_size_;
  report_.volume_id = superblock.volume_id;
  report_.size_bytes = superblock.size_bytes;
  report_.block_size_bytes = block_size_;
  report_.superblock_generation = superblock.generation;
  report_.checkpoint_lsn = superblock.checkpoint_lsn;
  report_.straggler_entries = base_.stragglers.size();
  return {};
}

Failure Checker::list_files() {
  std::vector<std::string> names;
  if (const int error = disk_.list(&names)) {
    return {error, "STORE_IO", "listing " + disk_.path() + ": " + std::strerror(error)};
  }
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) {
    uint32_t number = 0;
    if (name == "superblock" || name == "map") continue;
    if (!SegmentFiles::parse(name, &number) || SegmentFiles::name(number) != name) {
      find(Severity::error, in_directory(name, "is no file of a store"), "remove it");
      plan_.strangers.push_back(name);
      continue;
    }
    std::unique_ptr<disk::File> file;
    uint64_t bytes = 0;
    int error = disk_.open(name, false, &file);
    if (error == 0) error = file->size(&bytes);
    if (error != 0) {
      find(Severity::error, in_directory(name, std::string("cannot be opened: ") + std::strerror(error)));
      continue;
    }
    files_[number] = bytes;
    report_.file_bytes += bytes;
  }
  report_.file_bytes += map_file_pages_ * kPageBytes + 2 * kPageBytes;
  return {};
}

Checker::Segment* Checker::segment_of(uint64_t id) {
  if (last_segment_ != SIZE_MAX && segments_[last_segment_].record.id == id) return &segments_[last_segment_];
  const auto found = segment_index_.find(id);
  if (found == segment_index_.end()) return nullptr;
  last_segment_ = found->second;
  return &segments_[last_segment_];
}

// The table against itself and against the directory.
void Checker::check_table() {
  const RawSuperblock& superblock = base_.superblock;
  const auto wrong = [&](const RawSegmentRecord& record, Severity severity, std::string detail) {
    find(severity, {.kind = "segment table",
                    .file = SegmentFiles::name(record.file_number),
                    .file_offset_bytes = 0,
                    .volume_offset_bytes = UINT64_MAX,
                    .segment = record.id,
                    .slot = 0,
                    .detail = std::move(detail)});
  };
  struct Part {
    uint32_t file, base, end;
    const RawSegmentRecord* record;
  };
  std::vector<Part> parts;
  for (const RawSegmentRecord& record : base_.table.records) {
    if (segment_index_.contains(record.id)) {
      wrong(record, Severity::damage, "the table has this id twice");
      continue;
    }
    Segment segment;
    segment.record = record;
    segment.in_table = true;
    segment.active = record.id == superblock.active_segment_id;
    segment_index_[record.id] = segments_.size();
    segments_.push_back(std::move(segment));
    report_.segments++;
    if (record.index) report_.compacted_segments++;
    if (record.id == 0 || record.id >= superblock.next_segment_id) wrong(record, Severity::error, "has an id not given out yet");
    if (record.file_number >= superblock.next_file_number) wrong(record, Severity::error, "is in a file not given out yet");
    if (uint64_t{record.base_slot} + record.slots > superblock.slots) wrong(record, Severity::error, "reaches beyond its file");
    if (!record.index && (record.base_slot != 0 || record.slots != superblock.slots)) {
      wrong(record, Severity::error, "is a part of a file, but has no slot index");
    }
    if (record.live == 0 && record.id != superblock.active_segment_id) {
      wrong(record, Severity::error, "is in the table though nothing in it is live");
    }
    parts.push_back({record.file_number, record.base_slot, record.base_slot + record.slots, &record});
  }
  std::sort(parts.begin(), parts.end(), [](const Part& a, const Part& b) {
    return a.file != b.file ? a.file < b.file : a.base < b.base;
  });
  for (size_t i = 1; i < parts.size(); i++) {
    if (parts[i].file == parts[i - 1].file && parts[i].base < parts[i - 1].end) {
      wrong(*parts[i].record, Severity::damage,
            "shares slots of its file with segment " + std::to_string(parts[i - 1].record->id));
    }
  }
  if (superblock.active_segment_id != 0 && !segment_index_.contains(superblock.active_segment_id)) {
    find(Severity::damage,
         in_superblock(plan_.base_slot, "names segment " + std::to_string(superblock.active_segment_id) +
                                            " as the active one, which the table does not have"));
  }
  uint64_t previous = UINT64_MAX;
  for (const Part& part : parts) {
    if (part.file == previous) continue;
    previous = part.file;
    report_.files_in_use++;
  }
  std::vector<uint32_t> pending = base_.table.pending_files;
  std::sort(pending.begin(), pending.end());
  for (size_t i = 0; i < pending.size(); i++) {
    const std::string name = SegmentFiles::name(pending[i]);
    const bool in_use = std::any_of(parts.begin(), parts.end(), [&](const Part& part) { return part.file == pending[i]; });
    if (in_use) find(Severity::damage, in_directory(name, "is in use, and waiting to be free"));
    if (i > 0 && pending[i] == pending[i - 1]) find(Severity::error, in_directory(name, "is waiting twice to be free"));
    if (!files_.contains(pending[i])) find(Severity::error, in_directory(name, "is waiting to be free, and is missing"));
  }
}

// Corrected tables, where counts or pages do not add up.
void Checker::plan_tables() {
  plan_.table = base_.table;
  for (RawSegmentRecord& record : plan_.table.records) {
    const Segment* segment = segment_of(record.id);
    // With pages lost, what they hold stays counted: space is lost, no data.
    record.live = pages_lost_ ? std::max(record.live, segment->counted) : segment->counted;
    record.summary_hash = segment->record.summary_hash;
  }
  plan_.table_pages = base_.table_pages;
  plan_.bitmap_pages = base_.bitmap_pages;
}

}  // namespace galleonfs::store
