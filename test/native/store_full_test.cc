// A full file system: it fills to the last byte at any moment of random histories, with kills and power cuts while it is
// full. Writers get ENOSPC and nothing else happens: discards, flushes, checkpoints, closing and opening go on, nothing
// that was acknowledged is lost, and space that is freed in the volume is used again, without a restart.
// GALLEONFS_SEED replays one history.
#include <atomic>
#include <set>
#include <thread>

#include "check_fixture.h"
#include "stamped_block.h"

using namespace galleonfs;

namespace {

constexpr uint64_t kVolume = 512 << 20;
// The blocks used stand in clusters all over the volume: every checkpoint needs many map pages.
constexpr uint64_t kBlocks = 2048;
constexpr uint64_t kCluster = 4;
uint64_t address(uint64_t block) { return (block / kCluster * 256 + block % kCluster) * 4096; }

struct Model {
  std::vector<std::set<uint64_t>> acknowledged{kBlocks, std::set<uint64_t>{0}};
  std::vector<std::set<uint64_t>> flushed{kBlocks, std::set<uint64_t>{0}};
  void write(uint64_t block, uint64_t value, bool done) {
    if (done) acknowledged[block].clear();
    acknowledged[block].insert(value);
    flushed[block].insert(value);
  }
  void flush() { flushed = acknowledged; }
};

class History {
 public:
  explicit History(uint64_t seed) : seed_(seed), f_(kVolume, 4096, seed), random_(seed), buffer_(kCluster * 4096) {
    f_.options_.segment_size_bytes = 256 << 10;
    f_.open_options_.checkpoint_bytes = 1 << 20;
  }

  void run() {
    f_.create();
    f_.open();
    for (int life = 0; life < 5; life++) {
      for (int phase = 0; phase < 4; phase++) {
        const bool full = random_() % 2 == 0;
        f_.storage.set_capacity(full ? f_.storage.used_bytes() : UINT64_MAX);
        full_ = full;
        refused_ = 0;
        const bool discarding = random_() % 3 == 0;
        const int steps = static_cast<int>(random_() % 250);
        for (int step = 0; step < steps; step++) this->step(discarding);
        require(full || refused_ == 0, "ENOSPC where there is space");
      }
      end_life();
    }
  }

  uint64_t refused_when_full() const { return refused_when_full_; }

 private:
  void require(bool holds, const char* what) const {
    if (holds) return;
    std::fprintf(stderr, "seed %llu: ", static_cast<unsigned long long>(seed_));
    check::fail(__FILE__, __LINE__, what);
  }

  void step(bool discarding) {
    const uint64_t block = random_() % kBlocks;
    const uint64_t count = 1 + random_() % (kCluster - block % kCluster);
    const uint64_t kind = random_() % 32;
    if (kind < 2) {
      require(f_.store().flush() == 0, "a flush fails on a full disk");
      model_.flush();
    } else if (kind == 2) {
      require(!f_.store().checkpoint(), "a checkpoint fails on a full disk");
      model_.flush();
    } else if (kind == 3) {
      read(block, count);
    } else if (discarding ? kind < 28 : kind < 5) {
      require(f_.store().discard(address(block), count * 4096) == 0, "a discard fails on a full disk");
      for (uint64_t i = 0; i < count; i++) model_.write(block + i, 0, true);
    } else {
      for (uint64_t i = 0; i < count; i++) {
        for (size_t at = 0; at < 4096; at += 8) {
          const uint64_t value = next_value_ + i;
          std::memcpy(buffer_.data() + i * 4096 + at, &value, 8);
        }
      }
      const int error = f_.store().write(address(block), buffer_.data(), count * 4096, false);
      require(error == 0 || error == ENOSPC, "a write fails with anything but ENOSPC");
      if (error != 0) {
        refused_++;
        refused_when_full_++;
      }
      for (uint64_t i = 0; i < count; i++) model_.write(block + i, next_value_++, error == 0);
    }
    require(!f_.store().read_only(), "the volume stopped");
  }

  void read(uint64_t block, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
      require(f_.store().read(address(block + i), buffer_.data(), 4096) == 0, "a block cannot be read");
      require(model_.acknowledged[block + i].contains(check::stamp_of(buffer_.data())), "wrong data");
    }
  }

  void add_up() {
    const std::string wrong = describe(run_check(f_));
    std::fprintf(stderr, "%s", wrong.c_str());
    require(wrong.empty(), "it does not add up");
  }

  // It ends while the disk may be full, and opens so.
  void end_life() {
    bool cut = false;
    switch (random_() % 3) {
      case 0:
        require(!f_.close_whatever(), "closing fails on a full disk");
        model_.flush();
        break;
      case 1:
        f_.kill();
        break;
      default:
        f_.cut_power(random_());
        cut = true;
    }
    if (full_) f_.storage.set_capacity(f_.storage.used_bytes());
    add_up();
    const store::Failure failed = f_.try_open();
    if (failed) std::fprintf(stderr, "%s\n", failed.detail.c_str());
    require(!failed, "the store does not open on a full disk");
    require(f_.store().damage().empty(), "damage");
    uint64_t live = 0;
    for (uint64_t block = 0; block < kBlocks; block++) {
      require(f_.store().read(address(block), buffer_.data(), 4096) == 0, "a block cannot be read after opening");
      const uint64_t value = check::stamp_of(buffer_.data());
      require((cut ? model_.flushed : model_.acknowledged)[block].contains(value), "what was acknowledged is lost");
      model_.acknowledged[block] = model_.flushed[block] = {value};
      live += value != 0 ? 1 : 0;
    }
    require(!f_.store().checkpoint(), "no checkpoint after opening on a full disk");
    require(f_.store().stats().live_bytes == live * 4096, "live bytes do not add up");
  }

  const uint64_t seed_;
  StoreFixture f_;
  std::mt19937_64 random_;
  std::vector<std::byte> buffer_;
  Model model_;
  uint64_t next_value_ = 1;
  bool full_ = false;
  uint64_t refused_ = 0, refused_when_full_ = 0;
};

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr uint64_t kHistories = 5;
constexpr uint64_t kSteps = 600;
constexpr uint64_t kCapacity = 12 << 20;
#else
constexpr uint64_t kHistories = 25;
constexpr uint64_t kSteps = 3000;
constexpr uint64_t kCapacity = 24 << 20;
#endif

// Fills the volume until ENOSPC; returns how many bytes were taken.
uint64_t fill(StoreFixture& f, uint64_t limit) {
  uint64_t offset = 0;
  for (; offset < limit; offset += 65536) {
    const auto bytes = pattern(65536, offset);
    const int error = f.store().write(offset, bytes.data(), bytes.size(), false);
    if (error == 0) continue;
    CHECK_EQ(error, ENOSPC);
    break;
  }
  return offset;
}

}  // namespace

TEST("random histories on a disk that is full again and again") {
  if (const char* seed = std::getenv("GALLEONFS_SEED")) return History(std::strtoull(seed, nullptr, 10)).run();
  const char* wanted = std::getenv("GALLEONFS_HISTORIES");
  const uint64_t histories = wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : kHistories;
  uint64_t refused = 0;
  for (uint64_t seed = 0; seed < histories; seed++) {
    History history(seed);
    history.run();
    refused += history.refused_when_full();
  }
  CHECK(refused > 100);
}

TEST("on a full disk, blocks discarded here and there make room for new ones") {
  StoreFixture f(64 << 20);
  f.options_.segment_size_bytes = 1 << 20;
  f.create();
  f.open();
  f.storage.set_capacity(kCapacity);
  const uint64_t filled = fill(f, 64 << 20);
  CHECK(filled > kCapacity * 2 / 3);
  CHECK(filled < kCapacity);
  // No segment dies of it: every one keeps three blocks of four.
  for (uint64_t offset = 0; offset < filled; offset += 16384) CHECK_EQ(f.store().discard(offset, 4096), 0);
  // A fifth of the space must be usable again.
  for (uint64_t offset = 32 << 20; offset < (32 << 20) + filled / 5; offset += 65536) f.write(offset, pattern(65536, offset));
  for (uint64_t offset = 0; offset < filled; offset += 65536) {
    auto expected = pattern(65536, offset);
    for (uint64_t at = 0; at < 65536; at += 16384) std::fill_n(expected.begin() + static_cast<ptrdiff_t>(at), 4096, std::byte{0});
    CHECK(f.read(offset, 65536) == expected);
  }
  f.kill();
  f.open();
  for (uint64_t offset = 32 << 20; offset < (32 << 20) + filled / 5; offset += 65536) CHECK(f.read(offset, 65536) == pattern(65536, offset));
}

TEST("on a full disk, blocks can be overwritten for ever") {
  StoreFixture f(64 << 20);
  f.options_.segment_size_bytes = 1 << 20;
  f.create();
  f.open();
  f.storage.set_capacity(kCapacity);
  for (uint64_t offset = 0; offset < kCapacity / 12 * 7; offset += 65536) f.write(offset, pattern(65536, offset));
  std::mt19937_64 random(5);
  for (int i = 0; i < static_cast<int>(6 * kSteps); i++) f.write(random() % (kCapacity / 12 * 7 / 4096) * 4096, pattern(4096, static_cast<uint64_t>(i)));
  CHECK_EQ(f.store().flush(), 0);
}

TEST("many writers at once on a full disk get what is freed, and lose nothing") {
  StoreFixture f(64 << 20);
  f.options_.segment_size_bytes = 1 << 20;
  f.open_options_.background = true;
  f.create();
  f.open();
  f.storage.set_capacity(kCapacity);
  constexpr uint64_t kThreads = 6;
  constexpr uint64_t kShare = kCapacity / 4096 * 25 / 96;  // blocks of a thread: together more than fit
  std::atomic<uint64_t> refused{0};
  std::vector<std::thread> threads;
  for (uint64_t thread = 0; thread < kThreads; thread++) {
    threads.emplace_back([&, thread] {
      std::mt19937_64 random(thread);
      std::vector<uint64_t> value(kShare, 0);
      std::vector<std::byte> block(4096);
      for (uint64_t step = 1; step < kSteps; step++) {
        const uint64_t at = random() % kShare;
        const uint64_t offset = (thread * kShare + at) * 4096;
        if (random() % 3 == 0) {
          CHECK_EQ(f.store().discard(offset, 4096), 0);
          value[at] = 0;
        } else {
          for (size_t i = 0; i < 4096; i += 8) std::memcpy(block.data() + i, &step, 8);
          const int error = f.store().write(offset, block.data(), 4096, false);
          CHECK(error == 0 || error == ENOSPC);
          if (error == 0) value[at] = step;
          refused += error == 0 ? 0 : 1;
        }
        if (step % 200 == 0) CHECK_EQ(f.store().flush(), 0);
        const uint64_t other = random() % kShare;
        CHECK_EQ(f.store().read((thread * kShare + other) * 4096, block.data(), 4096), 0);
        CHECK_EQ(check::stamp_of(block.data()), value[other]);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(!f.store().read_only());
  if (kSteps >= 3000) CHECK(refused > 0);
  f.close();
}

TEST("space that others free is used at once") {
  StoreFixture f(64 << 20);
  f.create();
  f.open();
  f.storage.set_capacity(16 << 20);
  const uint64_t filled = fill(f, 64 << 20);
  f.storage.set_capacity(32 << 20);
  CHECK(fill(f, 64 << 20) > filled + (8 << 20));
}

CHECK_MAIN()
