// Many threads on one store with its background thread, on a fake disk. Under TSan this is the race detector's food.
#include <atomic>
#include <thread>

#include "store_fixture.h"

using namespace galleonfs;

namespace {

void fill(std::byte* bytes, size_t length, uint64_t block, uint64_t version) {
  for (size_t i = 0; i < length; i += 16) {
    std::memcpy(bytes + i, &block, 8);
    std::memcpy(bytes + i + 8, &version, 8);
  }
}

}  // namespace

TEST("writers, readers, flushes, discards, checkpoints and compaction at once keep every block whole") {
  StoreFixture f(16 << 20, 4096, 1, 1 << 20);
  f.open_options_.background = true;
  f.open_options_.checkpoint_bytes = 2 << 20;
  f.create();
  f.open();
  constexpr int kThreads = 4;
  constexpr uint64_t kBlocks = (16 << 20) / 4096;
  std::atomic<bool> stop{false};
  std::atomic<int> failures{0};
  std::vector<std::thread> threads;
  // Each writer owns every fourth run of 8 blocks, so it knows what they must hold; readers check that blocks are whole.
  for (int t = 0; t < kThreads; t++) {
    threads.emplace_back([&, t] {
      std::mt19937_64 random(static_cast<uint64_t>(t));
      std::vector<uint64_t> versions(kBlocks);
      std::vector<std::byte> bytes(8 * 4096), back(8 * 4096);
      for (uint64_t version = 1; version <= 400; version++) {
        const uint64_t run = (random() % (kBlocks / 8 / kThreads)) * kThreads + static_cast<uint64_t>(t);
        const uint64_t block = run * 8;
        const uint64_t count = 1 + random() % 8;
        if (random() % 10 == 0) {
          if (f.store().discard(block * 4096, count * 4096) != 0) failures++;
          for (uint64_t i = 0; i < count; i++) versions[block + i] = 0;
        } else {
          for (uint64_t i = 0; i < count; i++) fill(bytes.data() + i * 4096, 4096, block + i, versions[block + i] = version);
          if (f.store().write(block * 4096, bytes.data(), count * 4096, random() % 20 == 0) != 0) failures++;
        }
        if (f.store().read(block * 4096, back.data(), 8 * 4096) != 0) failures++;
        for (uint64_t i = 0; i < 8; i++) {
          std::byte expected[4096] = {};
          if (versions[block + i] != 0) fill(expected, 4096, block + i, versions[block + i]);
          if (std::memcmp(expected, back.data() + i * 4096, 4096) != 0) failures++;
        }
        if (random() % 50 == 0 && f.store().flush() != 0) failures++;
      }
    });
  }
  threads.emplace_back([&] {
    std::mt19937_64 random(99);
    std::byte block[4096];
    while (!stop) {
      const uint64_t at = random() % kBlocks;
      if (f.store().read(at * 4096, block, sizeof block) != 0) failures++;
      uint64_t first[2], last[2];
      std::memcpy(first, block, 16);
      std::memcpy(last, block + 4080, 16);
      if (std::memcmp(first, last, 16) != 0 || (first[1] != 0 && first[0] != at)) failures++;
    }
  });
  threads.emplace_back([&] {
    while (!stop) {
      uint64_t rewritten = 0, found = 0;
      if (f.store().checkpoint()) failures++;
      if (f.store().compact(0.9, &rewritten)) failures++;
      const int error = f.store().seek(0, true, &found);
      if (error != 0 && error != ENXIO) failures++;
      (void)f.store().stats();
    }
  });
  for (int t = 0; t < kThreads; t++) threads[static_cast<size_t>(t)].join();
  stop = true;
  for (size_t t = kThreads; t < threads.size(); t++) threads[t].join();
  CHECK_EQ(failures.load(), 0);
  CHECK(f.store().damage().empty());
  const auto before = f.read(0, 16 << 20);
  f.reopen();
  CHECK(f.read(0, 16 << 20) == before);
}

TEST("writers of the same blocks leave one whole version of each") {
  StoreFixture f;
  f.open_options_.background = true;
  f.create();
  f.open();
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 4; t++) {
    threads.emplace_back([&f, t] {
      std::vector<std::byte> bytes(4 * 4096);
      for (uint64_t i = 0; i < 200; i++) {
        fill(bytes.data(), bytes.size(), t, i);
        CHECK_EQ(f.store().write(0, bytes.data(), bytes.size(), false), 0);
        // Sector writes beside each other: no read-modify-write may lose another's sector.
        std::vector<std::byte> sector(512);
        fill(sector.data(), 512, t, i);
        CHECK_EQ(f.store().write(1 << 20 | t * 512, sector.data(), 512, false), 0);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const auto bytes = f.read(0, 4 * 4096);
  for (size_t i = 16; i < bytes.size(); i += 16) CHECK(std::memcmp(bytes.data(), bytes.data() + i, 16) == 0);
  for (uint64_t t = 0; t < 4; t++) {
    std::vector<std::byte> expected(512);
    fill(expected.data(), 512, t, 199);
    CHECK(f.read(1 << 20 | t * 512, 512) == expected);
  }
}

CHECK_MAIN()
