// The offline check: clean stores have no find, each kind of damage is found at its place, and a repair repairs.
#include <map>
#include <set>

#include "check_fixture.h"
#include "store/page_chain.h"
#include "store/scrub.h"
#include "store/segment_table.h"
#include "store/superblock.h"
#include "store/summary.h"

using namespace galleonfs;
using store::Severity;

namespace {

constexpr uint64_t kVolume = 4 << 20;
constexpr uint64_t kBlocks = kVolume / 4096;

// A closed store with blocks of known content: 0..299 once, 300..399 twice; compacted.
struct Filled {
  StoreFixture f{kVolume};
  std::vector<std::byte> block(uint64_t number) const { return pattern(4096, 1000 + number); }
  explicit Filled(bool compacted = false) {
    f.create();
    f.open();
    for (uint64_t i = 0; i < 600; i++) f.write(i * 4096, pattern(4096, 5000 + i));
    f.checkpoint();
    for (uint64_t i = 0; i < 600; i++) {
      if (i % 3 != 0) f.write(i * 4096, block(i));
    }
    f.checkpoint();
    if (compacted) {
      uint64_t rewritten = 0;
      CHECK(!f.store().compact(0.9, &rewritten));
      CHECK(rewritten > 0);
    }
    f.close();
  }
  std::vector<std::byte> current(uint64_t i) const { return i % 3 != 0 ? block(i) : pattern(4096, 5000 + i); }
  store::RawSuperblock newest() {
    store::Superblocks superblocks;
    std::unique_ptr<disk::File> file;
    CHECK_EQ(f.storage.attach()->open("superblock", false, &file), 0);
    CHECK_EQ(store::read_superblocks(*file, &superblocks), 0);
    return superblocks.slots[superblocks.newest()];
  }
};

bool reads(disk::FakeOperation operation) {
  return operation == disk::FakeOperation::open || operation == disk::FakeOperation::read || operation == disk::FakeOperation::list;
}

void random_workload(StoreFixture& f, std::mt19937_64& random, int steps) {
  std::vector<std::byte> buffer(64 * 4096);
  for (int step = 0; step < steps; step++) {
    const uint64_t count = 1 + random() % (random() % 8 == 0 ? 64 : 4);
    const uint64_t block = random() % (kBlocks - count);
    switch (random() % 16) {
      case 0:
        CHECK_EQ(f.store().flush(), 0);
        break;
      case 1:
        CHECK_EQ(f.store().discard(block * 4096, count * 4096), 0);
        break;
      case 2:
        if (random() % 4 == 0) CHECK_EQ(f.store().discard(0, kVolume / 2), 0);
        break;
      case 3:
        f.checkpoint();
        break;
      case 4: {
        uint64_t rewritten = 0;
        CHECK(!f.store().compact(0.9, &rewritten));
        break;
      }
      default:
        for (size_t i = 0; i < count * 4096; i += 8) {
          const uint64_t value = random();
          std::memcpy(buffer.data() + i, &value, 8);
        }
        f.write(block * 4096, {buffer.begin(), buffer.begin() + static_cast<ptrdiff_t>(count * 4096)});
    }
  }
}

}  // namespace

TEST("a new store adds up, and a check writes nothing") {
  StoreFixture f;
  f.create();
  const uint64_t writes = f.storage.writes();
  f.storage.set_fault([](disk::FakeOperation operation, const std::string&, uint64_t, uint64_t) {
    return reads(operation) ? 0 : EROFS;
  });
  check_clean(f);
  CHECK_EQ(f.storage.writes(), writes);
}

TEST("a store with data adds up, its blocks are counted, and a check writes nothing") {
  Filled filled;
  const uint64_t writes = filled.f.storage.writes();
  filled.f.storage.set_fault([](disk::FakeOperation operation, const std::string&, uint64_t, uint64_t) {
    return reads(operation) ? 0 : EROFS;
  });
  check_clean(filled.f);
  const store::CheckReport report = run_check(filled.f);
  CHECK_EQ(report.live_blocks, 600);
  CHECK_EQ(report.map_pages_used + report.map_pages_pending + report.map_pages_free + 1, report.map_pages);
  CHECK_EQ(filled.f.storage.writes(), writes);
}

TEST("a store that somebody has open is not checked") {
  StoreFixture f;
  f.create();
  f.open();
  std::unique_ptr<store::StoreCheck> check;
  CHECK_EQ(store::StoreCheck::begin(f.storage.attach(), &check).code, "STORE_LOCKED");
}

TEST("where there is no store, a check says so") {
  disk::FakeStorage storage;
  std::unique_ptr<store::StoreCheck> check;
  CHECK_EQ(store::StoreCheck::begin(storage.attach(), &check).code, "STORE_NOT_FOUND");
}

TEST("random histories add up after a clean end, a kill and a power cut") {
  uint64_t compacted = 0, replayed = 0, torn = 0;
  for (uint64_t seed = 1; seed <= 60; seed++) {
    StoreFixture f(kVolume, 4096, seed);
    f.open_options_.checkpoint_bytes = 256 << 10;
    f.create();
    std::mt19937_64 random(seed);
    for (int life = 0; life < 4; life++) {
      f.open();
      random_workload(f, random, static_cast<int>(random() % 60));
      const uint64_t end = random() % 3;
      if (end == 0) f.close();
      if (end == 1) f.kill();
      if (end == 2) f.cut_power(random());
      const store::CheckReport report = run_check(f);
      if (report.errors + report.damages > 0) {
        std::fprintf(stderr, "seed %llu, life %d, end %llu:\n%s", static_cast<unsigned long long>(seed), life,
                     static_cast<unsigned long long>(end), describe(report).c_str());
      }
      CHECK_EQ(report.errors + report.damages, 0);
      CHECK_EQ(report.verified_blocks, report.live_blocks);
      compacted += report.compacted_segments;
      replayed += report.replay_entries;
      torn += report.torn_entries;
    }
  }
  std::printf("     compacted segments %llu, entries to replay %llu, torn %llu\n", static_cast<unsigned long long>(compacted),
              static_cast<unsigned long long>(replayed), static_cast<unsigned long long>(torn));
  CHECK(compacted > 0 && replayed > 0);
}

TEST("a store killed at any write adds up") {
  for (uint64_t stop = 1; stop < 400; stop += 3) {
    StoreFixture f(kVolume, 4096, stop);
    f.open_options_.checkpoint_bytes = 128 << 10;
    f.create();
    f.open();
    auto left = std::make_shared<uint64_t>(stop);
    f.storage.set_fault([left](disk::FakeOperation operation, const std::string&, uint64_t, uint64_t) {
      if (reads(operation)) return 0;
      if (*left == 0) return EIO;
      --*left;
      return 0;
    });
    std::mt19937_64 random(stop);
    std::vector<std::byte> bytes = pattern(16 * 4096, stop);
    for (int i = 0; i < 200 && *left > 0; i++) {
      const uint64_t block = random() % (kBlocks - 16);
      if (i % 20 == 19) {
        uint64_t rewritten = 0;
        (void)f.store().compact(0.9, &rewritten);
      } else if (i % 7 == 6) {
        (void)f.store().discard(block * 4096, 8 * 4096);
      } else {
        (void)f.store().write(block * 4096, bytes.data(), (1 + random() % 16) * 4096, i % 5 == 0);
      }
    }
    f.storage.set_fault({});
    f.kill();
    const store::CheckReport report = run_check(f);
    if (report.errors + report.damages > 0) std::fprintf(stderr, "stop %llu:\n%s", static_cast<unsigned long long>(stop), describe(report).c_str());
    CHECK_EQ(report.errors + report.damages, 0);
  }
}

TEST("a payload that rots is found at its place, and no repair brings it back") {
  Filled filled;
  const Stored stored = find_stored(filled.f, filled.block(301));
  filled.f.storage.flip(stored.file, stored.offset + 77);
  const store::CheckReport report = run_check(filled.f);
  CHECK_EQ(report.damages, 1);
  CHECK_EQ(report.errors, 0);
  CHECK_EQ(report.lost_blocks, 1);
  const store::Finding& finding = report.findings.at(0);
  CHECK(finding.severity == Severity::damage);
  CHECK_EQ(finding.place.kind, "payload");
  CHECK_EQ(finding.place.file, stored.file);
  CHECK_EQ(finding.place.file_offset_bytes, stored.offset);
  CHECK_EQ(finding.place.volume_offset_bytes, 301 * 4096);
  CHECK_EQ(finding.place.slot, stored.slot_in_file);
  CHECK_EQ(finding.repair, "");
}

TEST("in a compacted segment a payload that rots is found at its place") {
  Filled filled(true);
  int in_compacted = 0;
  for (const std::string& name : filled.f.storage.names()) {
    if (!name.starts_with("segment-")) continue;
    const std::vector<std::byte> bytes = filled.f.storage.contents(name);
    store::RawSegmentHeader header;
    std::memcpy(&header, bytes.data(), sizeof header);
    if (header.kind != store::kCompactedSegment) continue;
    for (uint64_t number = 0; number < 600; number += 50) {
      const std::vector<std::byte> content = filled.current(number);
      for (uint32_t slot = 0; slot < header.slots; slot++) {
        const uint64_t at = store::payload_offset(header.slots) + slot * 4096;
        if (std::memcmp(bytes.data() + at, content.data(), 4096) != 0) continue;
        filled.f.storage.flip(name, at + 5);
        const store::CheckReport report = run_check(filled.f);
        CHECK_EQ(report.damages, 1);
        CHECK_EQ(report.findings.at(0).place.kind, "payload");
        CHECK_EQ(report.findings.at(0).place.file_offset_bytes, at);
        CHECK_EQ(report.findings.at(0).place.volume_offset_bytes, number * 4096);
        filled.f.storage.flip(name, at + 5);
        in_compacted++;
      }
    }
  }
  CHECK(in_compacted > 0);
}

TEST("a wrong byte in an entry is found, put right by a repair, and the block reads again") {
  for (const uint64_t at : {0, 17, 25, 30}) {
    Filled filled;
    const Stored stored = find_stored(filled.f, filled.block(301));
    filled.f.storage.flip(stored.file, stored.entry_offset() + at, 0x10);
    auto check = begin_check(filled.f);
    store::CheckReport report;
    CHECK(!check->check(&report));
    CHECK_EQ(report.errors, 1);
    CHECK_EQ(report.damages, 0);
    const store::Finding& finding = report.findings.at(0);
    CHECK_EQ(finding.place.kind, "summary");
    CHECK_EQ(finding.place.file_offset_bytes, stored.entry_offset());
    CHECK_EQ(finding.place.volume_offset_bytes, 301 * 4096);
    CHECK_EQ(finding.repair, "put the byte right");
    CHECK(!check->repair());
    CHECK(!check->check(&report));
    CHECK_EQ(describe(report), "");
    check.reset();
    filled.f.open();
    CHECK(filled.f.read(301 * 4096, 4096) == filled.block(301));
    filled.f.close();
  }
}

TEST("an entry damaged beyond repair is one lost block, told by the map") {
  Filled filled;
  const Stored stored = find_stored(filled.f, filled.block(301));
  for (const uint64_t at : {0, 3, 17}) filled.f.storage.flip(stored.file, stored.entry_offset() + at, 0x55);
  const store::CheckReport report = run_check(filled.f);
  CHECK_EQ(report.lost_blocks, 1);
  const store::Finding* finding = find_kind(report, "summary");
  CHECK(finding != nullptr && finding->severity == Severity::damage);
  CHECK_EQ(finding->place.volume_offset_bytes, 301 * 4096);
}

TEST("a wrong byte in an entry of a dead slot is found by the seal, and sealed anew") {
  Filled filled;
  // The old version of block 301, overwritten since.
  const Stored stored = find_stored(filled.f, pattern(4096, 5000 + 301));
  filled.f.storage.flip(stored.file, stored.entry_offset() + 2);
  auto check = begin_check(filled.f);
  store::CheckReport report;
  CHECK(!check->check(&report));
  CHECK_EQ(report.errors, 1);
  CHECK_EQ(report.damages, 0);
  CHECK_EQ(report.findings.at(0).place.kind, "summary");
  CHECK(!check->repair());
  CHECK(!check->check(&report));
  CHECK_EQ(describe(report), "");
}

TEST("each page that the superblock reaches is found when it rots") {
  std::map<std::string, int> kinds;
  for (const bool compacted : {false, true}) {
    Filled pristine(compacted);
    const uint64_t pages = pristine.newest().map_pages;
    for (uint64_t page = 1; page < pages; page++) {
      StoreFixture& f = pristine.f;
      f.storage.flip("map", page * 4096 + 50);
      const store::CheckReport report = run_check(f);
      for (const store::Finding& finding : report.findings) {
        if (finding.severity != Severity::note && finding.place.file == "map") CHECK_EQ(finding.place.file_offset_bytes, page * 4096);
      }
      if (report.errors + report.damages > 0) kinds[report.findings.at(0).place.kind]++;
      f.storage.flip("map", page * 4096 + 50);
    }
    check_clean(pristine.f);
  }
  CHECK(kinds["map page"] > 0);
  CHECK(kinds["map node"] > 0);
  CHECK(kinds["table page"] > 0);
  CHECK(kinds["slot index"] > 0);
}

TEST("a damaged superblock is found and written anew from the other") {
  for (const int slot : {0, 1}) {
    Filled filled;
    filled.f.storage.flip("superblock", slot * 4096 + 50);
    auto check = begin_check(filled.f);
    store::CheckReport report;
    CHECK(!check->check(&report));
    CHECK_EQ(report.errors, 1);
    CHECK_EQ(report.findings.at(0).place.kind, "superblock");
    CHECK_EQ(report.findings.at(0).place.file_offset_bytes, slot * 4096);
    CHECK(!check->repair());
    CHECK(!check->check(&report));
    CHECK_EQ(describe(report), "");
    check.reset();
    filled.f.open();
    for (uint64_t i = 0; i < 600; i++) CHECK(filled.f.read(i * 4096, 4096) == filled.current(i));
    filled.f.close();
    check_clean(filled.f);
  }
}

TEST("two damaged superblocks: damage, and nothing is repaired") {
  Filled filled;
  filled.f.storage.flip("superblock", 50);
  filled.f.storage.flip("superblock", 4096 + 50);
  auto check = begin_check(filled.f);
  store::CheckReport report;
  CHECK(!check->check(&report));
  CHECK_EQ(report.damages, 2);
  const uint64_t writes = filled.f.storage.writes();
  CHECK(!check->repair());
  CHECK_EQ(filled.f.storage.writes(), writes);
}

TEST("a header copy that rots is found and written anew from the other") {
  for (const uint64_t copy : {0, 1}) {
    Filled filled;
    const Stored stored = find_stored(filled.f, filled.block(301));
    filled.f.storage.flip(stored.file, copy * 4096 + 40);
    auto check = begin_check(filled.f);
    store::CheckReport report;
    CHECK(!check->check(&report));
    CHECK_EQ(report.errors, 1);
    CHECK_EQ(report.findings.at(0).place.kind, "segment header");
    CHECK_EQ(report.findings.at(0).place.file_offset_bytes, copy * 4096);
    CHECK(!check->repair());
    CHECK(!check->check(&report));
    CHECK_EQ(describe(report), "");
  }
}

TEST("a missing segment file is damage, with its blocks counted") {
  Filled filled;
  const Stored stored = find_stored(filled.f, filled.block(301));
  CHECK_EQ(filled.f.storage.attach()->remove(stored.file), 0);
  const store::CheckReport report = run_check(filled.f);
  const store::Finding* finding = find_kind(report, "segment file");
  CHECK(finding != nullptr && finding->severity == Severity::damage);
  CHECK_EQ(finding->place.file, stored.file);
  CHECK(report.lost_blocks > 0);
}

TEST("a file that is none of the store's is found and removed by a repair") {
  Filled filled;
  std::unique_ptr<disk::File> file;
  CHECK_EQ(filled.f.storage.attach()->open("segment-abc", true, &file), 0);
  auto check = begin_check(filled.f);
  store::CheckReport report;
  CHECK(!check->check(&report));
  CHECK_EQ(report.errors, 1);
  CHECK_EQ(report.findings.at(0).place.file, "segment-abc");
  CHECK(!check->repair());
  CHECK(!check->check(&report));
  CHECK_EQ(describe(report), "");
}

namespace {

// Rewrites a chain of one page that the newest superblock leads to after `change`, hashes and all: as a bug would.
void change_chain(Filled& filled, store::PagePointer store::RawSuperblock::* chain,
                  const std::function<void(std::vector<std::byte>&)>& change) {
  store::RawSuperblock superblock = filled.newest();
  store::PagePointer& pointer = superblock.*chain;
  std::unique_ptr<disk::File> map, superblock_file;
  const auto disk = filled.f.storage.attach();
  CHECK_EQ(disk->open("map", false, &map), 0);
  CHECK_EQ(disk->open("superblock", false, &superblock_file), 0);
  std::vector<std::byte> page(4096);
  CHECK_EQ(map->read(pointer.page * 4096, page.data(), 4096), 0);
  store::ChainHeader header;
  std::memcpy(&header, page.data(), sizeof header);
  CHECK(!header.next);
  std::vector<std::byte> bytes(page.begin() + sizeof header, page.begin() + sizeof header + header.length);
  change(bytes);
  header.length = static_cast<uint32_t>(bytes.size());
  std::fill(page.begin(), page.end(), std::byte{0});
  std::memcpy(page.data(), &header, sizeof header);
  std::copy(bytes.begin(), bytes.end(), page.begin() + sizeof header);
  CHECK_EQ(map->write(pointer.page * 4096, page.data(), 4096), 0);
  pointer.hash = store::hash128(page.data(), 4096);
  store::Superblocks both;
  CHECK_EQ(store::read_superblocks(*superblock_file, &both), 0);
  CHECK_EQ(store::write_superblock(*superblock_file, superblock, both.newest()), 0);
}

void change_table(Filled& filled, const std::function<void(store::PersistedTable&)>& change) {
  change_chain(filled, &store::RawSuperblock::segment_table, [&](std::vector<std::byte>& bytes) {
    store::PersistedTable table;
    CHECK(store::decode_table(bytes, &table));
    change(table);
    bytes = store::encode_table(table);
  });
}

// The bitmap's words and the pages that wait to be free.
void change_bitmap(Filled& filled, const std::function<void(std::vector<uint64_t>& words, std::vector<uint64_t>& pending)>& change) {
  change_chain(filled, &store::RawSuperblock::page_bitmap, [&](std::vector<std::byte>& bytes) {
    std::vector<uint64_t> all(bytes.size() / 8);
    std::memcpy(all.data(), bytes.data(), bytes.size());
    std::vector<uint64_t> words(all.begin() + 1, all.begin() + 1 + static_cast<ptrdiff_t>(all[0]));
    std::vector<uint64_t> pending(all.begin() + 1 + static_cast<ptrdiff_t>(all[0]), all.end());
    change(words, pending);
    all = {words.size()};
    all.insert(all.end(), words.begin(), words.end());
    all.insert(all.end(), pending.begin(), pending.end());
    bytes.resize(all.size() * 8);
    std::memcpy(bytes.data(), all.data(), bytes.size());
  });
}

}  // namespace

TEST("pages leaked, in use but held to be free, or not kept for the older superblock are found, and accounted for anew") {
  enum class Harm { leaked, freed, forgotten };
  for (const Harm harm : {Harm::leaked, Harm::freed, Harm::forgotten}) {
    Filled filled;
    const uint64_t root = filled.newest().map_root.page;
    uint64_t at = 0;
    change_bitmap(filled, [&](std::vector<uint64_t>& words, std::vector<uint64_t>& pending) {
      if (harm == Harm::leaked) {
        while ((words[at / 64] >> at % 64 & 1) != 0) at++;
        words[at / 64] |= 1ULL << at % 64;
      } else if (harm == Harm::freed) {
        at = root;
        words[at / 64] &= ~(1ULL << at % 64);
      } else {
        CHECK(!pending.empty());
        at = pending.back();
        pending.pop_back();
        words[at / 64] &= ~(1ULL << at % 64);
      }
    });
    auto check = begin_check(filled.f);
    store::CheckReport report;
    CHECK(!check->check(&report));
    CHECK_EQ(report.errors, 1);
    CHECK_EQ(report.damages, 0);
    CHECK_EQ(report.findings.at(0).place.kind, "page bitmap");
    CHECK_EQ(report.findings.at(0).place.file_offset_bytes, at * 4096);
    CHECK(!check->repair());
    CHECK(!check->check(&report));
    CHECK_EQ(describe(report), "");
    check.reset();
    filled.f.open();
    for (uint64_t i = 0; i < 600; i++) CHECK(filled.f.read(i * 4096, 4096) == filled.current(i));
    for (uint64_t i = 0; i < 600; i++) filled.f.write(i * 4096, pattern(4096, i));
    filled.f.close();
    check_clean(filled.f);
  }
}

TEST("wrong liveness counts are found and counted anew, and the store goes on") {
  for (const int by : {-1, 1}) {
    Filled filled;
    uint64_t changed = 0;
    change_table(filled, [&](store::PersistedTable& table) {
      table.records.at(1).live = static_cast<uint32_t>(static_cast<int>(table.records.at(1).live) + by);
      changed = table.records.at(1).id;
    });
    auto check = begin_check(filled.f);
    store::CheckReport report;
    CHECK(!check->check(&report));
    CHECK_EQ(report.errors, 1);
    CHECK_EQ(report.findings.at(0).place.kind, "liveness");
    CHECK_EQ(report.findings.at(0).place.segment, changed);
    CHECK(!check->repair());
    CHECK(!check->check(&report));
    CHECK_EQ(describe(report), "");
    check.reset();
    filled.f.open();
    for (uint64_t i = 0; i < 600; i++) CHECK(filled.f.read(i * 4096, 4096) == filled.current(i));
    for (uint64_t i = 0; i < 600; i++) filled.f.write(i * 4096, pattern(4096, i));
    filled.f.close();
    check_clean(filled.f);
  }
}

TEST("a file used by two segments, and one that is in use and waiting to be free, are found") {
  {
    Filled filled;
    change_table(filled, [](store::PersistedTable& table) { table.records.at(1).file_number = table.records.at(0).file_number; });
    const store::CheckReport report = run_check(filled.f);
    const store::Finding* finding = find_kind(report, "segment table");
    CHECK(finding != nullptr && finding->severity == Severity::damage);
  }
  {
    Filled filled;
    change_table(filled, [](store::PersistedTable& table) { table.pending_files.push_back(table.records.at(0).file_number); });
    const store::CheckReport report = run_check(filled.f);
    const store::Finding* finding = find_kind(report, "directory");
    CHECK(finding != nullptr && finding->severity == Severity::damage);
  }
}

TEST("a segment the table forgot is damage at every block the map has in it") {
  Filled filled;
  uint32_t live = 0;
  change_table(filled, [&](store::PersistedTable& table) {
    live = table.records.at(0).live;
    table.records.erase(table.records.begin());
  });
  const store::CheckReport report = run_check(filled.f);
  CHECK_EQ(report.lost_blocks, live);
  CHECK(live > 0);
}

TEST("a map that names other blocks' slots is found, by a check and by a scrub, though every page and block is whole") {
  Filled filled;
  change_leaf(filled.f, 301, [](uint64_t* leaf) { std::swap(leaf[301], leaf[302]); });
  const store::CheckReport report = run_check(filled.f);
  CHECK_EQ(report.damages, 2);
  CHECK_EQ(report.lost_blocks, 2);
  CHECK_EQ(report.findings.at(0).place.kind, "summary");
  std::set<uint64_t> found{report.findings.at(0).place.volume_offset_bytes, report.findings.at(1).place.volume_offset_bytes};
  CHECK(found == (std::set<uint64_t>{301 * 4096, 302 * 4096}));
  filled.f.open();
  std::set<uint64_t> scrubbed;
  for (store::ScrubPosition position; position.phase != store::ScrubPhase::done;) {
    store::ScrubStep step;
    CHECK(!filled.f.store().scrub(&position, 64 << 10, &step));
    for (const store::ScrubFind& find : step.finds) scrubbed.insert(find.place.volume_offset_bytes);
  }
  CHECK(scrubbed == found);
}

TEST("a slot that two blocks of the map are in is found") {
  Filled filled;
  change_leaf(filled.f, 301, [](uint64_t* leaf) { leaf[302] = leaf[301]; });
  const store::CheckReport report = run_check(filled.f);
  CHECK(report.damages >= 1);
  CHECK(report.findings.at(0).place.detail.find("another block is in") != std::string::npos);
  CHECK_EQ(report.findings.at(0).place.volume_offset_bytes, 302 * 4096);
}

TEST("an entry of the journal's tail that rots is found, also where it is past repair") {
  for (const bool beyond_repair : {false, true}) {
    StoreFixture f;
    f.create();
    f.open();
    for (uint64_t i = 0; i < 20; i++) f.write(i * 4096, pattern(4096, i), true);
    f.kill();
    const Stored stored = find_stored(f, pattern(4096, 7));
    f.storage.flip(stored.file, stored.entry_offset() + 3, 0x10);
    if (beyond_repair) f.storage.flip(stored.file, stored.entry_offset() + 9, 0x44);
    auto check = begin_check(f);
    store::CheckReport report;
    CHECK(!check->check(&report));
    const store::Finding* finding = find_kind(report, "journal");
    CHECK(finding != nullptr);
    CHECK_EQ(finding->place.file_offset_bytes, stored.entry_offset());
    CHECK_EQ(report.damages, beyond_repair ? 1 : 0);
    if (beyond_repair) continue;
    CHECK(!check->repair());
    CHECK(!check->check(&report));
    CHECK_EQ(describe(report), "");
  }
}

TEST("a cancelled check says so") {
  Filled filled;
  auto check = begin_check(filled.f);
  check->progress().cancelled = true;
  store::CheckReport report;
  CHECK_EQ(check->check(&report).code, "OPERATION_CANCELLED");
}

CHECK_MAIN()
