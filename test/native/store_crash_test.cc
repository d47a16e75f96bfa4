// Random histories against a plain model, with kills and power cuts; and damage of every kind of page.
// A failing history prints its seed: ./store_crash_test --no-fork, with GALLEONFS_SEED set, replays it.
#include <set>
#include <utility>

#include "stamped_block.h"
#include "store_fixture.h"

using namespace galleonfs;

namespace {

constexpr uint64_t kVolume = 2 << 20;
constexpr uint64_t kBlocks = kVolume / 4096;

// For each block, every value that it may hold: the durable one and all since.
class Model {
 public:
  Model() : current_(kBlocks), allowed_(kBlocks, {0}) {}
  void write(uint64_t block, uint64_t value) {
    current_[block] = value;
    allowed_[block].insert(value);
  }
  void flushed() {
    for (uint64_t i = 0; i < kBlocks; i++) allowed_[i] = {current_[i]};
  }
  uint64_t current(uint64_t block) const { return current_[block]; }
  bool allows(uint64_t block, uint64_t value) const { return allowed_[block].contains(value); }
  void adopt(uint64_t block, uint64_t value) {
    current_[block] = value;
    allowed_[block] = {value};
  }

 private:
  std::vector<uint64_t> current_;
  std::vector<std::set<uint64_t>> allowed_;
};

#define HOLDS(condition)                                                         \
  do {                                                                           \
    if (!(condition)) {                                                          \
      std::fprintf(stderr, "seed %llu: ", static_cast<unsigned long long>(seed)); \
      CHECK(condition);                                                          \
    }                                                                            \
  } while (0)

void run_history(uint64_t seed, bool power) {
  StoreFixture f(kVolume, 4096, seed);
  f.open_options_.checkpoint_bytes = 256 << 10;
  f.create();
  f.open();
  Model model;
  std::mt19937_64 random(seed);
  uint64_t next_value = 1;
  std::vector<std::byte> buffer(64 * 4096);
  for (int life = 0; life < 6; life++) {
    const int steps = static_cast<int>(random() % 60);
    for (int step = 0; step < steps; step++) {
      const uint64_t count = 1 + random() % (random() % 8 == 0 ? 64 : 4);
      const uint64_t block = random() % (kBlocks - count);
      switch (random() % 16) {
        case 0:
        case 1:
          HOLDS(f.store().flush() == 0);
          model.flushed();
          break;
        case 2:
          HOLDS(f.store().discard(block * 4096, count * 4096) == 0);
          for (uint64_t i = 0; i < count; i++) model.write(block + i, 0);
          break;
        case 3:
          HOLDS(!f.store().checkpoint());
          model.flushed();
          break;
        case 4: {
          uint64_t rewritten = 0;
          HOLDS(!f.store().compact(0.9, &rewritten));
          model.flushed();
          break;
        }
        case 5: {
          HOLDS(f.store().read(block * 4096, buffer.data(), count * 4096) == 0);
          for (uint64_t i = 0; i < count; i++) HOLDS(check::stamp_of(buffer.data() + i * 4096) == model.current(block + i));
          break;
        }
        default:
          for (uint64_t i = 0; i < count; i++) {
            check::stamp(buffer.data() + i * 4096, next_value);
            model.write(block + i, next_value++);
          }
          HOLDS(f.store().write(block * 4096, buffer.data(), count * 4096, false) == 0);
      }
    }
    switch (random() % 3) {
      case 0:
        f.close();
        model.flushed();
        break;
      case 1:
        f.kill();
        model.flushed();  // acknowledged survives the process
        break;
      default:
        if (power) {
          f.cut_power(random());
        } else {
          f.kill();
          model.flushed();
        }
    }
    f.open();
    HOLDS(f.store().damage().empty());
    for (uint64_t block = 0; block < kBlocks; block++) {
      HOLDS(f.store().read(block * 4096, buffer.data(), 4096) == 0);
      const uint64_t value = check::stamp_of(buffer.data());
      HOLDS(model.allows(block, value));
      model.adopt(block, value);
    }
    uint64_t live = 0;
    for (uint64_t block = 0; block < kBlocks; block++) live += model.current(block) != 0 ? 1 : 0;
    HOLDS(!f.store().checkpoint());
    HOLDS(f.store().stats().live_bytes == live * 4096);
    model.flushed();
  }
}

uint64_t histories() {
  const char* wanted = std::getenv("GALLEONFS_HISTORIES");
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  constexpr uint64_t usual = 40;
#else
  constexpr uint64_t usual = 300;
#endif
  return wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : usual;
}

void run_histories(uint64_t base, bool power) {
  if (const char* seed = std::getenv("GALLEONFS_SEED")) return run_history(std::strtoull(seed, nullptr, 10), power);
  for (uint64_t i = 0; i < histories(); i++) run_history(base + i, power);
}

}  // namespace

TEST("random histories with kills lose nothing acknowledged") { run_histories(1000, false); }

TEST("random histories with power cuts lose nothing flushed") { run_histories(500000, true); }

TEST("slots that an earlier opening left void are not taken for damage") {
  for (const bool clean : {true, false}) {
    StoreFixture f;
    f.open_options_.checkpoint_bytes = 64 << 20;  // none but the one asked for
    f.create();
    f.open();
    f.write(0, pattern(4096, 1), true);
    if (clean) {
      f.close();
    } else {
      // Of what came after the checkpoint nothing survives: nothing to replay, nothing to checkpoint.
      f.checkpoint();
      f.write(4096, pattern(4096, 2));
      f.storage.flip("segment-00000001", 8192 + 32);
      f.kill();
    }
    f.open();
    f.write(8192, pattern(4096, 3), true);
    f.write(12288, pattern(4096, 4), true);
    f.kill();
    f.open();
    CHECK(f.read(0, 4096) == pattern(4096, 1));
    CHECK(f.read(8192, 4096) == pattern(4096, 3));
    CHECK(f.read(12288, 4096) == pattern(4096, 4));
    CHECK_EQ(f.store().damage().size(), 0u);
  }
}

TEST("slots left void stay void where the recovery had no space to checkpoint") {
  StoreFixture f;
  f.create();
  f.open();
  f.write(0, pattern(4096, 1), true);
  // Every checkpoint of the map needs pages; none can be had.
  for (int life = 0; life < 3; life++) {
    f.kill();
    f.storage.set_fault([](disk::FakeOperation operation, const std::string& name, uint64_t, uint64_t) {
      return operation == disk::FakeOperation::write && name == "map" ? ENOSPC : 0;
    });
    f.open();
    f.write(4096, pattern(4096, static_cast<uint64_t>(life)), true);
    f.write(8192, pattern(4096, static_cast<uint64_t>(life) + 10), true);
  }
  f.storage.set_fault({});
  f.kill();
  f.open();
  CHECK(f.read(0, 4096) == pattern(4096, 1));
  CHECK(f.read(4096, 4096) == pattern(4096, 2));
  CHECK(f.read(8192, 4096) == pattern(4096, 12));
  CHECK_EQ(f.store().damage().size(), 0u);
}

TEST("a write in flight while another is flushed needs a flush of its own") {
  for (uint64_t seed = 0; seed < 16; seed++) {
    StoreFixture f;
    f.create();
    f.open();
    f.write(0, pattern(4096, 1), true);
    bool inside = false;
    f.storage.set_interlude([&](disk::FakeOperation operation, const std::string&, uint64_t offset, uint64_t) {
      if (operation != disk::FakeOperation::write || offset < 65536 || std::exchange(inside, true)) return;
      f.write(8192, pattern(4096, 3), true);
    });
    f.write(4096, pattern(4096, 2));
    f.storage.set_interlude({});
    CHECK_EQ(f.store().flush(), 0);
    f.cut_power(seed);
    f.open();
    CHECK(f.read(4096, 4096) == pattern(4096, 2));
    CHECK(f.read(8192, 4096) == pattern(4096, 3));
  }
}

TEST("a payload that rots is never returned") {
  StoreFixture f;
  f.create();
  f.open();
  f.write(0, pattern(1 << 20, 3));
  f.close();
  for (const std::string& name : f.storage.names()) {
    if (!name.starts_with("segment-")) continue;
    f.storage.flip(name, 65536 + 4096 * 5 + 17);
  }
  f.open();
  std::vector<std::byte> bytes(4096);
  int bad = 0;
  for (uint64_t offset = 0; offset < (1 << 20); offset += 4096) {
    const int error = f.store().read(offset, bytes.data(), 4096);
    if (error != 0) {
      CHECK_EQ(error, EIO);
      bad++;
    }
  }
  CHECK(bad >= 1);
  const auto damage = f.store().damage();
  CHECK_EQ(static_cast<int>(damage.size()), bad);
  CHECK_EQ(damage[0].kind, "payload");
  CHECK_EQ(damage[0].file_offset_bytes, 65536u + 4096 * 5);
}

TEST("a summary entry that rots is found and its block is not returned") {
  StoreFixture f;
  f.create();
  f.open();
  f.write(0, pattern(1 << 20, 3));
  f.close();
  for (const std::string& name : f.storage.names()) {
    if (name.starts_with("segment-")) f.storage.flip(name, 8192 + 32 * 5 + 3);
  }
  f.open();
  std::vector<std::byte> bytes(1 << 20);
  CHECK_EQ(f.store().read(0, bytes.data(), bytes.size()), EIO);
  const auto damage = f.store().damage();
  CHECK_EQ(damage.at(0).kind, "summary");
  CHECK_EQ(damage.at(0).file_offset_bytes, 8192u + 32 * 5);
}

TEST("a byte that rots in the journal after the checkpoint is put right, and said") {
  for (uint64_t byte = 0; byte < 32; byte++) {
    StoreFixture f;
    f.open_options_.checkpoint_bytes = 64 << 20;  // none but the one asked for
    f.create();
    f.open();
    f.write(0, pattern(1 << 20, 1));
    f.checkpoint();
    f.write(0, pattern(1 << 20, 2), true);
    f.write(1 << 20, pattern(4096, 3), true);  // records that what stands before it is durable
    f.kill();
    // File 0 is the reserve, 1 was full at the checkpoint, 2 came after it.
    f.storage.flip("segment-00000002", 8192 + 32 * 7 + byte, 0x24);
    f.open();
    CHECK(f.read(0, 1 << 20) == pattern(1 << 20, 2));
    const auto damage = f.store().damage();
    CHECK_EQ(damage.size(), 1u);
    CHECK_EQ(damage.at(0).kind, "summary");
    CHECK_EQ(damage.at(0).file_offset_bytes, 8192u + 32 * 7);
    f.reopen();
    CHECK(f.read(0, 1 << 20) == pattern(1 << 20, 2));
    CHECK_EQ(f.store().damage().size(), 0u);
  }
}

TEST("an entry of the journal that is lost is never covered by the value before it") {
  StoreFixture f;
  f.open_options_.checkpoint_bytes = 64 << 20;
  f.create();
  f.open();
  f.write(0, pattern(1 << 20, 1));
  f.checkpoint();
  f.write(0, pattern(1 << 20, 2), true);
  f.write(1 << 20, pattern(4096, 3), true);
  f.kill();
  f.storage.flip("segment-00000002", 8192 + 32 * 7, 1);
  f.storage.flip("segment-00000002", 8192 + 32 * 7 + 9, 1);
  const uint64_t writes = f.storage.writes();
  const store::Failure failed = f.try_open();
  CHECK_EQ(failed.code, "STORE_DAMAGED");
  CHECK(failed.detail.find("slot 7") != std::string::npos);
  CHECK_EQ(f.storage.writes(), writes);
}

TEST("every page of the map that rots is found; the store opens or says why not") {
  StoreFixture f;
  f.create();
  f.open();
  const auto bytes = pattern(2 << 20, 3);
  f.write(0, bytes);
  f.close();
  const uint64_t pages = f.storage.contents("map").size() / 4096;
  int refused = 0, fell_back = 0, eio = 0;
  for (uint64_t page = 1; page < pages; page++) {
    StoreFixture g;
    g.create();
    g.open();
    g.write(0, bytes);
    g.close();
    g.storage.flip("map", page * 4096 + 100);
    if (const store::Failure failed = g.try_open()) {
      CHECK_EQ(failed.code, "STORE_DAMAGED");
      refused++;
      continue;
    }
    if (g.store().recovery().used_older_superblock) fell_back++;
    for (uint64_t offset = 0; offset < bytes.size(); offset += 4096) {
      std::byte block[4096];
      const int error = g.store().read(offset, block, sizeof block);
      if (error == 0) {
        CHECK(std::memcmp(block, bytes.data() + offset, sizeof block) == 0);
      } else {
        CHECK_EQ(error, EIO);
        CHECK(!g.store().damage().empty());
        eio++;
      }
    }
  }
  CHECK(eio > 0);
  CHECK(fell_back + refused > 0);
}

TEST("a damaged superblock is passed over, healed by the next checkpoint; two are refused and left alone") {
  StoreFixture f;
  f.create();
  f.open();
  const auto bytes = pattern(1 << 20, 5);
  f.write(0, bytes, true);
  for (const uint64_t slot : {0, 1}) {
    f.close();
    f.storage.flip("superblock", slot * 4096 + 200);
    f.open();
    CHECK(f.read(0, bytes.size()) == bytes);
    const auto damage = f.store().damage();
    CHECK_EQ(damage.size(), 1u);
    CHECK_EQ(damage.at(0).kind, "superblock");
    f.reopen();
    CHECK_EQ(f.store().damage().size(), 0u);
  }
  f.close();
  f.storage.flip("superblock", 50);
  f.storage.flip("superblock", 4096 + 60);
  const uint64_t writes = f.storage.writes();
  CHECK_EQ(f.try_open().code, "STORE_SUPERBLOCK_DAMAGED");
  CHECK_EQ(f.storage.writes(), writes);
}

TEST("a failed flush makes the volume read-only and is never taken back") {
  StoreFixture f;
  f.create();
  f.open();
  f.write(0, pattern(4096, 1), true);
  f.write(4096, pattern(4096, 2));
  f.storage.set_fault([](disk::FakeOperation operation, const std::string&, uint64_t, uint64_t) {
    return operation == disk::FakeOperation::sync ? EIO : 0;
  });
  CHECK_EQ(f.store().flush(), EIO);
  f.storage.set_fault({});
  CHECK_EQ(f.store().flush(), EIO);
  CHECK(f.store().read_only());
  std::byte byte{};
  CHECK_EQ(f.store().write(0, &byte, 1, false), EROFS);
  CHECK(f.read(0, 4096) == pattern(4096, 1));
  CHECK(f.store().stats().read_only_reason.find("fdatasync") != std::string::npos);
}

TEST("a failed write to the journal stops the volume and damages nothing") {
  StoreFixture f;
  f.create();
  f.open();
  f.write(0, pattern(4096, 1), true);
  f.storage.set_fault([](disk::FakeOperation operation, const std::string& name, uint64_t, uint64_t) {
    return operation == disk::FakeOperation::write && name.starts_with("segment-") ? EIO : 0;
  });
  const auto bytes = pattern(4096, 2);
  CHECK_EQ(f.store().write(0, bytes.data(), bytes.size(), false), EIO);
  f.storage.set_fault({});
  CHECK(f.store().read_only());
  f.kill();
  f.open();
  CHECK(f.read(0, 4096) == pattern(4096, 1));
}

CHECK_MAIN()
