#include "store_fixture.h"

using namespace galleonfs;

TEST("a new volume reads as zeros and uses nothing") {
  StoreFixture f;
  f.create();
  f.open();
  CHECK(f.read(0, 1 << 20) == std::vector<std::byte>(1 << 20));
  CHECK_EQ(f.store().allocated_bytes(), 0u);
  CHECK_EQ(f.store().size_bytes(), 4u << 20);
}

TEST("what was written is read back, before and after a checkpoint and a restart") {
  StoreFixture f;
  f.create();
  f.open();
  const auto bytes = pattern(300000, 7);
  f.write(4096 * 3, bytes);
  CHECK(f.read(4096 * 3, bytes.size()) == bytes);
  f.checkpoint();
  CHECK(f.read(4096 * 3, bytes.size()) == bytes);
  f.reopen();
  CHECK(f.read(4096 * 3, bytes.size()) == bytes);
  CHECK(f.read(0, 4096 * 3) == std::vector<std::byte>(4096 * 3));
}

TEST("unaligned writes leave their neighbours alone") {
  for (const uint32_t block : {4096u, 16384u, 65536u}) {
    StoreFixture f(4 << 20, block);
    f.create();
    f.open();
    std::vector<std::byte> model(4 << 20);
    std::mt19937_64 random(block);
    for (int i = 0; i < 300; i++) {
      const uint64_t length = 1 + random() % 200000;
      const uint64_t offset = random() % (model.size() - length);
      const auto bytes = pattern(length, random());
      f.write(offset, bytes);
      std::memcpy(model.data() + offset, bytes.data(), length);
    }
    CHECK(f.read(0, model.size()) == model);
    f.reopen();
    CHECK(f.read(0, model.size()) == model);
  }
}

TEST("a killed process loses nothing it acknowledged") {
  StoreFixture f;
  f.create();
  f.open();
  const auto bytes = pattern(500000, 1);
  f.write(1000, bytes);
  f.kill();
  f.open();
  CHECK(f.read(1000, bytes.size()) == bytes);
  CHECK(f.store().recovery().replayed_entries > 0);
  CHECK_EQ(f.store().recovery().torn_entries, 0u);
  CHECK_EQ(f.store().damage().size(), 0u);
}

TEST("discarded blocks read as zeros, also after a restart, and give their space back") {
  StoreFixture f;
  f.create();
  f.open();
  const auto bytes = pattern(3 << 20, 2);
  f.write(0, bytes);
  CHECK_EQ(f.store().discard(5000, (2 << 20) - 5000), 0);
  auto model = bytes;
  std::fill(model.begin() + 5000, model.begin() + (2 << 20), std::byte{0});
  CHECK(f.read(0, model.size()) == model);
  f.kill();
  f.open();
  CHECK(f.read(0, model.size()) == model);
  CHECK_EQ(f.store().stats().live_bytes, (1u << 20) + 8192);
}

TEST("seek finds data and holes") {
  StoreFixture f(64 << 20);
  f.create();
  f.open();
  f.write(10 << 20, pattern(4096 * 3, 1));
  uint64_t at = 0;
  for (int round = 0; round < 2; round++) {
    CHECK_EQ(f.store().seek(0, true, &at), 0);
    CHECK_EQ(at, 10u << 20);
    CHECK_EQ(f.store().seek((10 << 20) + 100, true, &at), 0);
    CHECK_EQ(at, (10u << 20) + 100);
    CHECK_EQ(f.store().seek(10 << 20, false, &at), 0);
    CHECK_EQ(at, (10u << 20) + 4096 * 3);
    CHECK_EQ(f.store().seek(0, false, &at), 0);
    CHECK_EQ(at, 0u);
    CHECK_EQ(f.store().seek(20 << 20, true, &at), ENXIO);
    CHECK_EQ(f.store().seek(64 << 20, false, &at), ENXIO);
    f.checkpoint();
  }
}

TEST("a range beyond the end is refused") {
  StoreFixture f;
  f.create();
  f.open();
  std::byte byte{};
  CHECK_EQ(f.store().write(4 << 20, &byte, 1, false), EINVAL);
  CHECK_EQ(f.store().read((4 << 20) - 1, &byte, 2), EINVAL);
  CHECK_EQ(f.store().discard(1, UINT64_MAX), EINVAL);
}

TEST("bad sizes are refused and nothing is made") {
  for (const uint64_t size : {uint64_t{0}, uint64_t{4096}, (uint64_t{1} << 20) + 1, (uint64_t{64} << 40) + 4096}) {
    StoreFixture f(size);
    const auto disk = f.storage.attach();
    CHECK_EQ(store::Store::create(*disk, f.options_, f.environment_).code, "STORE_INVALID_SIZE");
    CHECK_EQ(f.storage.names().size(), 0u);
  }
  StoreFixture f(4 << 20, 5000);
  const auto disk = f.storage.attach();
  CHECK_EQ(store::Store::create(*disk, f.options_, f.environment_).code, "STORE_INVALID_BLOCK_SIZE");
}

TEST("creating on a full disk leaves nothing") {
  StoreFixture f;
  f.storage.set_capacity(600000);
  {
    const auto disk = f.storage.attach();
    CHECK_EQ(store::Store::create(*disk, f.options_, f.environment_).code, "STORE_NO_SPACE");
  }
  CHECK_EQ(f.storage.names().size(), 0u);
  CHECK_EQ(f.storage.used_bytes(), 0u);
}

TEST("a store is opened by one at a time") {
  StoreFixture f;
  f.create();
  f.open();
  std::unique_ptr<store::Store> second;
  CHECK_EQ(store::Store::open(f.storage.attach(), f.open_options_, f.environment_, &second).code, "STORE_LOCKED");
}

TEST("a full disk gives ENOSPC, keeps what was acknowledged, and discards still work") {
  StoreFixture f(16 << 20);
  f.create();
  f.storage.set_capacity(8 << 20);
  f.open();
  std::vector<std::byte> model(16 << 20);
  int error = 0;
  uint64_t offset = 0;
  for (; offset < model.size(); offset += 65536) {
    const auto bytes = pattern(65536, offset);
    error = f.store().write(offset, bytes.data(), bytes.size(), false);
    if (error != 0) break;
    std::memcpy(model.data() + offset, bytes.data(), bytes.size());
  }
  CHECK_EQ(error, ENOSPC);
  CHECK(offset > (2 << 20));
  CHECK_EQ(f.store().flush(), 0);
  CHECK(f.read(0, offset) == std::vector<std::byte>(model.begin(), model.begin() + static_cast<ptrdiff_t>(offset)));
  CHECK_EQ(f.store().discard(0, offset), 0);
  CHECK(f.read(0, 1 << 20) == std::vector<std::byte>(1 << 20));
  // The space comes back without a restart.
  f.write(0, pattern(1 << 20, 9));
  CHECK(f.read(0, 1 << 20) == pattern(1 << 20, 9));
}

TEST("overwriting for many times its size does not grow the store") {
  StoreFixture f(4 << 20);
  f.create();
  f.open();
  for (int round = 0; round < 40; round++) {
    for (uint64_t offset = 0; offset < (4 << 20); offset += 1 << 18) f.write(offset, pattern(1 << 18, static_cast<uint64_t>(round) + offset));
  }
  CHECK(f.storage.used_bytes() < (24u << 20));
  CHECK(f.read(1 << 18, 1 << 18) == pattern(1 << 18, 39 + (1 << 18)));
}

TEST("compaction gives back the space of thinly used segments and keeps every byte") {
  StoreFixture f(16 << 20);
  f.create();
  f.open();
  std::vector<std::byte> model(16 << 20);
  for (uint64_t offset = 0; offset < model.size(); offset += 4096) {
    const auto bytes = pattern(4096, offset);
    f.write(offset, bytes);
    std::memcpy(model.data() + offset, bytes.data(), 4096);
  }
  for (uint64_t offset = 0; offset < model.size(); offset += 4096) {
    if (offset / 4096 % 8 == 0) continue;
    CHECK_EQ(f.store().discard(offset, 4096), 0);
    std::memset(model.data() + offset, 0, 4096);
  }
  f.checkpoint();
  const uint64_t before = f.store().stats().segment_bytes;
  uint64_t rewritten = 0;
  const store::Failure failed = f.store().compact(0.9, &rewritten);
  CHECK_EQ(failed.detail, "");
  CHECK(rewritten >= 2 << 20);
  CHECK(f.store().stats().segment_bytes < before / 2);
  CHECK(f.read(0, model.size()) == model);
  f.reopen();
  CHECK(f.read(0, model.size()) == model);
  // Compacted segments can be compacted again.
  for (uint64_t offset = 0; offset < model.size(); offset += 4096 * 16) {
    CHECK_EQ(f.store().discard(offset, 4096), 0);
    std::memset(model.data() + offset, 0, 4096);
  }
  CHECK(!f.store().compact(0.9, &rewritten));
  f.kill();
  f.open();
  CHECK(f.read(0, model.size()) == model);
  CHECK_EQ(f.store().damage().size(), 0u);
}

CHECK_MAIN()
