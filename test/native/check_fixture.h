// Checks the store of a fixture, and tells what was found.
#pragma once
#include <algorithm>
#include <functional>

#include "store/check.h"
#include "store/summary.h"
#include "store/superblock.h"
#include "store_fixture.h"

namespace galleonfs {

inline std::unique_ptr<store::StoreCheck> begin_check(StoreFixture& f) {
  std::unique_ptr<store::StoreCheck> check;
  const store::Failure failed = store::StoreCheck::begin(f.storage.attach(), &check);
  CHECK_EQ(failed.detail, "");
  return check;
}

inline store::CheckReport run_check(StoreFixture& f) {
  store::CheckReport report;
  const store::Failure failed = begin_check(f)->check(&report);
  CHECK_EQ(failed.detail, "");
  return report;
}

inline std::string describe(const store::CheckReport& report) {
  std::string text;
  for (const store::Finding& finding : report.findings) {
    if (finding.severity == store::Severity::note) continue;
    text += finding.place.kind + " in " + finding.place.file + " at " + std::to_string(finding.place.file_offset_bytes) +
            ", segment " + std::to_string(finding.place.segment) + " slot " + std::to_string(finding.place.slot) + ": " +
            finding.place.detail + "\n";
  }
  return text;
}

// Findings that are not notes: none.
inline void check_clean(StoreFixture& f) {
  const store::CheckReport report = run_check(f);
  CHECK_EQ(describe(report), "");
  CHECK_EQ(report.errors + report.damages, 0);
  CHECK_EQ(report.verified_blocks, report.live_blocks);
}

inline const store::Finding* find_kind(const store::CheckReport& report, const std::string& kind) {
  const auto found = std::find_if(report.findings.begin(), report.findings.end(),
                                  [&](const store::Finding& finding) { return finding.place.kind == kind; });
  return found == report.findings.end() ? nullptr : &*found;
}

// Where block `block` of the fixture's store is, found by its content, which must be stored once.
struct Stored {
  std::string file;
  uint64_t offset = 0;
  uint32_t slot_in_file = 0;
  uint64_t entry_offset() const { return store::kSummaryOffset + slot_in_file * sizeof(store::RawEntry); }
};

inline Stored find_stored(StoreFixture& f, const std::vector<std::byte>& content) {
  Stored stored;
  int copies = 0;
  for (const std::string& name : f.storage.names()) {
    if (!name.starts_with("segment-")) continue;
    const std::vector<std::byte> bytes = f.storage.contents(name);
    uint32_t slots = 0;
    std::memcpy(&slots, bytes.data() + 48, sizeof slots);
    if (slots == 0) continue;
    const uint64_t payload = store::payload_offset(slots);
    for (uint32_t slot = 0; slot < slots; slot++) {
      const uint64_t at = payload + slot * content.size();
      if (at + content.size() > bytes.size() || std::memcmp(bytes.data() + at, content.data(), content.size()) != 0) continue;
      stored = {name, at, slot};
      copies++;
    }
  }
  CHECK_EQ(copies, 1);
  return stored;
}

// Changes the map's leaf of a block, and every hash up to the newest superblock: as a bug would.
inline void change_leaf(StoreFixture& f, uint64_t block, const std::function<void(uint64_t* leaf)>& change) {
  const auto disk = f.storage.attach();
  std::unique_ptr<disk::File> map, file;
  CHECK_EQ(disk->open("map", false, &map), 0);
  CHECK_EQ(disk->open("superblock", false, &file), 0);
  store::Superblocks superblocks;
  CHECK_EQ(store::read_superblocks(*file, &superblocks), 0);
  store::RawSuperblock& superblock = superblocks.slots[superblocks.newest()];
  const std::function<void(store::PagePointer&, uint32_t)> rewrite = [&](store::PagePointer& pointer, uint32_t level) {
    alignas(8) std::byte page[4096];
    CHECK_EQ(map->read(pointer.page * 4096, page, sizeof page), 0);
    if (level == 0) {
      change(reinterpret_cast<uint64_t*>(page));
    } else {
      const uint64_t child = (block >> store::kLeafShift) >> store::kNodeShift * (level - 1) & (store::kNodeEntries - 1);
      rewrite(reinterpret_cast<store::PagePointer*>(page)[child], level - 1);
    }
    CHECK_EQ(map->write(pointer.page * 4096, page, sizeof page), 0);
    pointer.hash = store::hash128(page, sizeof page);
  };
  rewrite(superblock.map_root, superblock.height);
  CHECK_EQ(store::write_superblock(*file, superblock, superblocks.newest()), 0);
}

}  // namespace galleonfs
