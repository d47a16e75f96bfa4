// The scrub: what rots on the medium is found at its place although every cache still has it, and healed from there; what is
// overwritten, moved or recycled meanwhile is no find.
#include <atomic>
#include <thread>

#include "check_fixture.h"
#include "store/scrub.h"
#include "store/superblock.h"

using namespace galleonfs;
using store::ScrubFind;
using store::ScrubPhase;
using store::ScrubPosition;
using store::ScrubStep;

namespace {

constexpr uint64_t kVolume = 4 << 20;
constexpr uint64_t kBlocks = 600;

struct Scrubbed {
  uint64_t bytes = 0;
  int steps = 0;
  std::vector<ScrubFind> finds;
};

Scrubbed scrub(store::Store& store, uint64_t bytes_a_step = 256 << 10) {
  Scrubbed all;
  for (ScrubPosition position; position.phase != ScrubPhase::done; all.steps++) {
    ScrubStep step;
    const store::Failure failed = store.scrub(&position, bytes_a_step, &step);
    CHECK_EQ(failed.detail, "");
    all.bytes += step.done_bytes;
    all.finds.insert(all.finds.end(), step.finds.begin(), step.finds.end());
    CHECK(all.steps < 10000);
  }
  return all;
}

std::string describe(const Scrubbed& scrubbed) {
  std::string text;
  for (const ScrubFind& find : scrubbed.finds) {
    text += find.place.kind + " in " + find.place.file + " at " + std::to_string(find.place.file_offset_bytes) + ", segment " +
            std::to_string(find.place.segment) + " slot " + std::to_string(find.place.slot) + ": " + find.place.detail + "\n";
  }
  return text;
}

// Blocks 0..599, two thirds of them written twice; open.
struct Filled {
  StoreFixture f{kVolume};
  std::vector<std::byte> block(uint64_t i) const { return pattern(4096, (i % 3 != 0 ? 1000 : 5000) + i); }
  explicit Filled(bool compacted = false) {
    f.create();
    f.open();
    for (uint64_t i = 0; i < kBlocks; i++) f.write(i * 4096, pattern(4096, 5000 + i));
    f.checkpoint();
    for (uint64_t i = 0; i < kBlocks; i++) {
      if (i % 3 != 0) f.write(i * 4096, block(i));
    }
    f.checkpoint();
    if (compacted) {
      uint64_t rewritten = 0;
      CHECK(!f.store().compact(0.9, &rewritten));
      CHECK(rewritten > 0);
    }
    CHECK_EQ(f.store().flush(), 0);
  }
  void all_read() {
    for (uint64_t i = 0; i < kBlocks; i++) CHECK(f.read(i * 4096, 4096) == block(i));
  }
};

// The one find of a scrub after rot at a place.
ScrubFind only_find(StoreFixture& f) {
  const Scrubbed scrubbed = scrub(f.store());
  if (scrubbed.finds.size() != 1) std::fprintf(stderr, "%s", describe(scrubbed).c_str());
  CHECK_EQ(scrubbed.finds.size(), 1);
  return scrubbed.finds[0];
}

}  // namespace

TEST("a clean store has no find, and every live block is read, in steps of any size") {
  for (const bool compacted : {false, true}) {
    for (const uint64_t bytes_a_step : {compacted ? 4096 : 64 << 10, 1 << 30}) {
      Filled filled(compacted);
      const Scrubbed scrubbed = scrub(filled.f.store(), bytes_a_step);
      CHECK_EQ(describe(scrubbed), "");
      CHECK(scrubbed.bytes >= kBlocks * 4096);
      CHECK(bytes_a_step == 1 << 30 || scrubbed.steps > 10);
      CHECK_EQ(filled.f.store().stats().scrubbed_bytes, scrubbed.bytes);
      filled.all_read();
    }
  }
}

TEST("a clean store has no find after a restart, a kill, a power cut and discards") {
  for (uint64_t seed = 1; seed <= 12; seed++) {
    StoreFixture f(kVolume, 4096, seed);
    f.open_options_.checkpoint_bytes = 256 << 10;
    f.create();
    std::mt19937_64 random(seed);
    for (int life = 0; life < 3; life++) {
      f.open();
      for (int i = 0; i < 30; i++) {
        const uint64_t block = random() % (kBlocks - 16);
        if (random() % 5 == 0) {
          CHECK_EQ(f.store().discard(block * 4096, 8 * 4096), 0);
        } else {
          f.write(block * 4096, pattern((1 + random() % 16) * 4096, random()), random() % 4 == 0);
        }
        if (random() % 10 == 0) CHECK_EQ(describe(scrub(f.store())), "");
        if (random() % 15 == 0) f.checkpoint();
      }
      CHECK_EQ(describe(scrub(f.store())), "");
      switch (random() % 3) {
        case 0:
          f.close();
          break;
        case 1:
          f.kill();
          break;
        default:
          f.cut_power(random());
      }
    }
  }
}

TEST("a payload that rots below the page cache is found at its place and healed from the cache") {
  Filled filled;
  const Stored stored = find_stored(filled.f, filled.block(301));
  filled.f.storage.rot(stored.file, stored.offset + 50);
  const ScrubFind find = only_find(filled.f);
  CHECK_EQ(find.place.kind, "payload");
  CHECK_EQ(find.place.file, stored.file);
  CHECK_EQ(find.place.file_offset_bytes, stored.offset);
  CHECK_EQ(find.place.volume_offset_bytes, 301 * 4096);
  CHECK_EQ(find.healed, "the page cache");
  CHECK_EQ(describe(scrub(filled.f.store())), "");
  CHECK_EQ(filled.f.store().stats().checksum_failures, 0);
  CHECK_EQ(filled.f.store().stats().scrub_healed, 1);
}

TEST("a payload that is lost everywhere is found, not healed, and listed as damage") {
  Filled filled;
  const Stored stored = find_stored(filled.f, filled.block(301));
  filled.f.storage.flip(stored.file, stored.offset + 50);
  const ScrubFind find = only_find(filled.f);
  CHECK_EQ(find.place.kind, "payload");
  CHECK_EQ(find.healed, "");
  CHECK_EQ(filled.f.store().damage().size(), 1);
  const store::Stats stats = filled.f.store().stats();
  CHECK_EQ(stats.failures_by_kind.at("payload"), 1);
  // Once more: counted again, listed once.
  CHECK_EQ(only_find(filled.f).place.file_offset_bytes, stored.offset);
  CHECK_EQ(filled.f.store().damage().size(), 1);
  filled.f.close();
  const store::CheckReport report = run_check(filled.f);
  CHECK_EQ(report.damages, 1);
}

TEST("a payload that cannot be read is found, and its neighbours are not") {
  Filled filled;
  const Stored stored = find_stored(filled.f, filled.block(301));
  filled.f.storage.set_fault([stored](disk::FakeOperation operation, const std::string& name, uint64_t offset, uint64_t length) {
    const bool hit = operation == disk::FakeOperation::read && name == stored.file && offset <= stored.offset && stored.offset < offset + length;
    return hit ? EIO : 0;
  });
  const ScrubFind find = only_find(filled.f);
  CHECK_EQ(find.place.file_offset_bytes, stored.offset);
  CHECK_EQ(find.healed, "");
}

TEST("a wrong byte in an entry is healed: below the cache from there, else by the payload's tag") {
  for (const bool below_cache : {true, false}) {
    for (const uint64_t at : {0, 17, 25, 30}) {
      Filled filled;
      // Of a segment that is sealed: the first ones.
      const Stored stored = find_stored(filled.f, filled.block(3));
      if (below_cache) {
        filled.f.storage.rot(stored.file, stored.entry_offset() + at, 0x10);
      } else {
        filled.f.storage.flip(stored.file, stored.entry_offset() + at, 0x10);
      }
      const ScrubFind find = only_find(filled.f);
      CHECK_EQ(find.place.kind, "summary");
      CHECK_EQ(find.place.file_offset_bytes, stored.entry_offset());
      CHECK_EQ(find.place.volume_offset_bytes, 3 * 4096);
      CHECK_EQ(find.healed, below_cache ? "the page cache" : "its payload's tag");
      CHECK_EQ(describe(scrub(filled.f.store())), "");
      filled.all_read();
      filled.f.close();
      check_clean(filled.f);
    }
  }
}

TEST("an entry that is lost is found with its volume offset, which only the map can tell") {
  for (const uint64_t bytes_a_step : {8 << 10, 1 << 30}) {
    Filled filled;
    const Stored stored = find_stored(filled.f, filled.block(3));
    for (const uint64_t at : {0, 3, 17}) filled.f.storage.flip(stored.file, stored.entry_offset() + at, 0x55);
    const Scrubbed scrubbed = scrub(filled.f.store(), bytes_a_step);
    CHECK_EQ(scrubbed.finds.size(), 1);
    CHECK_EQ(scrubbed.finds[0].place.kind, "summary");
    CHECK_EQ(scrubbed.finds[0].place.volume_offset_bytes, 3 * 4096);
    CHECK_EQ(scrubbed.finds[0].place.file_offset_bytes, stored.entry_offset());
    CHECK_EQ(scrubbed.finds[0].healed, "");
  }
}

TEST("a lost entry of a slot that nobody's block is in is no find") {
  Filled filled;
  const Stored stored = find_stored(filled.f, pattern(4096, 5000 + 301));
  for (const uint64_t at : {0, 3, 17}) filled.f.storage.flip(stored.file, stored.entry_offset() + at, 0x55);
  CHECK_EQ(describe(scrub(filled.f.store())), "");
}

TEST("an entry of a segment being filled that rots below the cache is written again from memory") {
  StoreFixture f;
  f.create();
  f.open();
  for (uint64_t i = 0; i < 20; i++) f.write(i * 4096, pattern(4096, i), true);
  const Stored stored = find_stored(f, pattern(4096, 7));
  f.storage.flip(stored.file, stored.entry_offset() + 3);
  const ScrubFind find = only_find(f);
  CHECK_EQ(find.place.kind, "summary");
  CHECK_EQ(find.place.volume_offset_bytes, 7 * 4096);
  CHECK_EQ(find.healed, "memory");
  CHECK_EQ(describe(scrub(f.store())), "");
  f.kill();
  check_clean(f);
}

TEST("a superblock that rots is written again from memory, whichever it is") {
  for (const int slot : {0, 1}) {
    Filled filled;
    filled.f.storage.flip("superblock", slot * 4096 + 30);
    const ScrubFind find = only_find(filled.f);
    CHECK_EQ(find.place.kind, "superblock");
    CHECK_EQ(find.place.file_offset_bytes, slot * 4096);
    CHECK_EQ(find.healed, "memory");
    CHECK_EQ(describe(scrub(filled.f.store())), "");
    filled.f.kill();
    check_clean(filled.f);
    filled.f.open();
    filled.all_read();
  }
}

TEST("a header copy that rots is written again from the other") {
  for (const uint64_t copy : {0, 1}) {
    Filled filled;
    const Stored stored = find_stored(filled.f, filled.block(3));
    filled.f.storage.flip(stored.file, copy * 4096 + 40);
    const ScrubFind find = only_find(filled.f);
    CHECK_EQ(find.place.kind, "segment header");
    CHECK_EQ(find.place.file_offset_bytes, copy * 4096);
    CHECK_EQ(find.healed, "its other copy");
    CHECK_EQ(describe(scrub(filled.f.store())), "");
  }
}

TEST("each page of the map that rots is found: healed from the cache or by a checkpoint, else damage") {
  std::map<std::string, int> healed, lost;
  for (const bool below_cache : {true, false}) {
    auto filled = std::make_unique<Filled>(true);
    const uint64_t pages = filled->f.store().stats().map_bytes / 4096;
    for (uint64_t page = 1; page < pages; page += below_cache ? 1 : 2) {
      if (!below_cache) filled->f.reopen();  // nothing in the store's own cache
      if (below_cache) {
        filled->f.storage.rot("map", page * 4096 + 60);
      } else {
        filled->f.storage.flip("map", page * 4096 + 60);
      }
      const Scrubbed scrubbed = scrub(filled->f.store());
      if (scrubbed.finds.empty()) continue;  // a page not in use
      for (const ScrubFind& find : scrubbed.finds) {
        CHECK_EQ(find.place.file, "map");
        CHECK_EQ(find.place.file_offset_bytes, page * 4096);
      }
      const ScrubFind& find = scrubbed.finds[0];
      (find.healed.empty() ? lost : healed)[find.place.kind]++;
      if (below_cache) CHECK(!find.healed.empty());
      if (!find.healed.empty()) {
        CHECK_EQ(describe(scrub(filled->f.store())), "");
        filled->all_read();
        filled->f.close();
        check_clean(filled->f);
      }
      filled = std::make_unique<Filled>(true);
    }
  }
  for (const char* kind : {"map page", "map node", "table page", "slot index"}) CHECK(healed[kind] > 0);
  CHECK(lost["map page"] > 0);
  CHECK_EQ(lost["table page"], 0);
}

TEST("a scrub goes on where it was after a restart") {
  Filled filled;
  const Stored early = find_stored(filled.f, filled.block(3));
  const Stored late = find_stored(filled.f, filled.block(301));
  ScrubPosition position;
  uint64_t first_part = 0;
  while (position.phase != ScrubPhase::segments || position.at < 3) {
    ScrubStep step;
    CHECK(!filled.f.store().scrub(&position, 64 << 10, &step));
    first_part += step.done_bytes;
    CHECK(step.finds.empty());
  }
  filled.f.reopen();
  filled.f.storage.flip(early.file, early.offset);  // behind it
  filled.f.storage.flip(late.file, late.offset);
  std::vector<ScrubFind> finds;
  uint64_t second_part = 0;
  while (position.phase != ScrubPhase::done) {
    ScrubStep step;
    CHECK(!filled.f.store().scrub(&position, 64 << 10, &step));
    second_part += step.done_bytes;
    finds.insert(finds.end(), step.finds.begin(), step.finds.end());
  }
  CHECK_EQ(finds.size(), 1);
  CHECK_EQ(finds[0].place.file_offset_bytes, late.offset);
  CHECK(first_part > 0 && second_part < kBlocks * 4096 + (1 << 20));
}

TEST("a block overwritten, and a segment moved by compaction, between steps are no finds") {
  Filled filled;
  const Stored stored = find_stored(filled.f, filled.block(3));
  ScrubPosition position;
  std::vector<ScrubFind> finds;
  for (int steps = 0; position.phase != ScrubPhase::done; steps++) {
    ScrubStep step;
    CHECK(!filled.f.store().scrub(&position, 32 << 10, &step));
    finds.insert(finds.end(), step.finds.begin(), step.finds.end());
    if (steps == 1) {
      filled.f.write(3 * 4096, pattern(4096, 1));
      filled.f.storage.flip(stored.file, stored.offset);
    }
    if (steps % 10 == 5) {
      uint64_t rewritten = 0;
      CHECK(!filled.f.store().compact(0.95, &rewritten));
    }
    if (steps % 7 == 3) filled.f.write((steps % 500) * 4096, pattern(64 * 4096, steps));
  }
  CHECK(finds.empty());
}

TEST("writers, discards, checkpoints and compaction beside a scrub are no finds, and all adds up after it") {
  StoreFixture f(8 << 20, 4096, 7, 1 << 20);
  f.open_options_.background = true;
  f.open_options_.checkpoint_bytes = 1 << 20;
  f.create();
  f.open();
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> writes{0}, compactions{0};
  std::vector<std::thread> threads;
  for (uint64_t writer = 0; writer < 2; writer++) {
    threads.emplace_back([&f, &stop, &writes, writer] {
      std::mt19937_64 random(writer);
      const std::vector<std::byte> bytes = pattern(32 * 4096, writer);
      while (!stop) {
        const uint64_t block = random() % (2048 - 32);
        const uint64_t count = 1 + random() % 32;
        if (random() % 8 == 0) {
          CHECK_EQ(f.store().discard(block * 4096, count * 4096), 0);
        } else {
          CHECK_EQ(f.store().write(block * 4096, bytes.data(), count * 4096, random() % 16 == 0), 0);
        }
        writes++;
      }
    });
  }
  threads.emplace_back([&f, &stop, &compactions] {
    while (!stop) {
      uint64_t rewritten = 0;
      CHECK(!f.store().compact(0.8, &rewritten));
      compactions++;
    }
  });
  for (int round = 0; round < 6 || writes < 3000 || compactions < 50; round++) CHECK_EQ(describe(scrub(f.store(), 128 << 10)), "");
  stop = true;
  for (std::thread& thread : threads) thread.join();
  CHECK_EQ(f.store().stats().checksum_failures, 0);
  CHECK_EQ(describe(scrub(f.store())), "");
  f.close();
  check_clean(f);
}

TEST("a store that is closed is not scrubbed") {
  Filled filled;
  CHECK(!filled.f.store().close());
  ScrubPosition position;
  ScrubStep step;
  CHECK_EQ(filled.f.store().scrub(&position, 1 << 20, &step).code, "STORE_CLOSED");
}

CHECK_MAIN()
