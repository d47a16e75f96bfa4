// Faults of the disk, a table of cases: each fault strikes at the N-th call, for every N of a workload, once and from then
// on. Whatever it does, the promises hold: what is read is a value that was written there, what was flushed stays, errors
// are told, and once the fault is gone the store opens again with all that was acknowledged (or, after a failed sync, all
// that was flushed). GALLEONFS_FAULT_STRIDE=1 tries every N everywhere.
#include <sys/syscall.h>
#include <time.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <set>

#include "store/budget.h"
#include "stamped_block.h"
#include "store_fixture.h"

using namespace galleonfs;
using disk::FakeOperation;

namespace {

constexpr uint64_t kVolume = 256 << 20;
constexpr uint64_t kSegment = 256 << 10;
// The blocks used stand in clusters, each in a map leaf of its own, so that the map grows too.
constexpr uint64_t kBlocks = 512;
constexpr uint64_t kCluster = 8;
uint64_t address(uint64_t block) { return (block / kCluster * 1024 + block % kCluster) * 4096; }

// What each block may hold. `ever`: any value written to it; `acknowledged`: since the last write that was acknowledged; `flushed`: since the last flush.
class Model {
 public:
  Model() : ever_(kBlocks, {0}), acknowledged_(kBlocks, {0}), flushed_(kBlocks, {0}) {}
  void write(uint64_t block, uint64_t value, bool done) {
    if (done) acknowledged_[block].clear();
    ever_[block].insert(value);
    acknowledged_[block].insert(value);
    flushed_[block].insert(value);
  }
  void flush() { flushed_ = acknowledged_; }
  bool holds(uint64_t block, uint64_t value, bool after_lost_flush) const {
    return (after_lost_flush ? flushed_ : acknowledged_)[block].contains(value);
  }
  bool ever(uint64_t block, uint64_t value) const { return ever_[block].contains(value); }
  void adopt(uint64_t block, uint64_t value) { acknowledged_[block] = flushed_[block] = {value}; }

 private:
  std::vector<std::set<uint64_t>> ever_, acknowledged_, flushed_;
};

// The fault strikes once; at every such call until it is taken away; or, a bad sector, wherever that place is touched.
enum class Until { once, gone, sector };
enum class End { close, kill, power };

struct Case {
  const char* name;
  FakeOperation operation;
  const char* file;  // its name begins so
  int outcome;       // errno or what fake_disk.h says
  // What the volume does about it.
  bool silent = false;     // the disk lies: blocks may be unreadable later, never wrong
  bool stops = false;      // may turn read-only; else writing works again as soon as the fault is gone
};

const Case kCases[] = {
    {"failed write to a segment", FakeOperation::write, "segment-", EIO, false, true},
    {"short write to a segment", FakeOperation::write, "segment-", disk::cut_short(EIO), false, true},
    {"failed write to the map", FakeOperation::write, "map", EIO, false, true},
    {"short write to the map", FakeOperation::write, "map", disk::cut_short(EIO), false, true},
    {"failed write to the superblock", FakeOperation::write, "superblock", EIO, false, true},
    {"short write to the superblock", FakeOperation::write, "superblock", disk::cut_short(EIO), false, true},
    {"failed fsync of a segment", FakeOperation::sync, "segment-", EIO, false, true},
    {"failed fsync of the map", FakeOperation::sync, "map", EIO, false, true},
    {"failed fsync of the superblock", FakeOperation::sync, "superblock", EIO, false, true},
    {"failed fsync of the directory", FakeOperation::sync_directory, "", EIO, false, true},
    {"failed read of a segment", FakeOperation::read, "segment-", EIO, false, true},
    {"failed read of the map", FakeOperation::read, "map", EIO, false, true},
    {"no space for a segment", FakeOperation::reserve, "segment-", ENOSPC},
    {"no space for the map", FakeOperation::reserve, "map", ENOSPC},
    {"no space for a name", FakeOperation::create, "segment-", ENOSPC},
    {"no descriptor for a new segment", FakeOperation::create, "segment-", EMFILE},
    {"no descriptor in the system for a new segment", FakeOperation::create, "segment-", ENFILE},
    {"no descriptor for a segment", FakeOperation::open, "segment-", EMFILE},
    {"lost write to a segment", FakeOperation::write, "segment-", disk::kWriteLost, true},
    {"lost write to the map", FakeOperation::write, "map", disk::kWriteLost, true},
    {"misdirected write to a segment", FakeOperation::write, "segment-", disk::kWriteMisdirected, true},
    {"misdirected write to the map", FakeOperation::write, "map", disk::kWriteMisdirected, true},
};

// One life of a volume with a fault in it.
class Run {
 public:
  Run(const Case& fault_case, uint64_t strike, Until until, End end)
      : case_(fault_case), strike_(strike), until_(until), end_(end), f_(kVolume), random_(7), buffer_(kCluster * 4096) {}

  // Returns how many calls of the kind there were.
  uint64_t run() {
    start();
    if (case_.operation == FakeOperation::reserve) arm();  // the map's reserve is made early
    work(40);
    if (case_.operation != FakeOperation::reserve) {
      f_.checkpoint();
      model_.flush();
      arm();
    }
    work(120);
    disarm();
    if (!case_.silent) {
      resumes();
      come_back();
      verify();
      work(20);
      require(failures_after_ == failures_, "work fails after the fault is gone and the store was reopened");
      come_back();
      verify();
    } else {
      verify();
      // Lost since the last checkpoint, the journal's tail looks as if it had never been written.
      const bool told = until_ == Until::once && !f_.store().checkpoint();
      f_.kill();
      if (f_.try_open()) return calls_;  // says that it is damaged
      read(0, kBlocks, !told);
    }
    return calls_;
  }

  // The fault strikes while a store with a journal to replay is opened.
  uint64_t run_opening() {
    start();
    work(60);
    f_.kill();
    arm();
    const store::Failure failed = f_.try_open();
    require(struck_ || !failed, "opening failed without a fault");
    if (failed) require(failed.detail.size() > 10, "no reason why the store does not open");
    if (!failed) read(0, kBlocks);
    disarm();
    // The next sync succeeds, and what the failed one lost is lost.
    sync_failed_ = struck_ && case_.operation == FakeOperation::sync;
    struck_ = false;
    if (failed) {
      f_.open();
    } else if (!f_.store().read_only() && f_.store().damage().empty()) {
      work(20);
    }
    come_back();
    return calls_;
  }

 private:
  void start() {
    f_.options_.segment_size_bytes = kSegment;
    f_.environment_.budget = &budget_;
    f_.open_options_.checkpoint_bytes = 512 << 10;
    f_.create();
    f_.open();
  }

  void require(bool holds, const char* what) const {
    if (holds) return;
    std::fprintf(stderr, "%s, strike %llu, %s, end %d: ", case_.name, static_cast<unsigned long long>(strike_),
                 until_ == Until::once ? "once" : until_ == Until::gone ? "until gone" : "bad sector", static_cast<int>(end_));
    check::fail(__FILE__, __LINE__, what);
  }

  void arm() {
    f_.storage.set_fault([this](FakeOperation operation, const std::string& name, uint64_t offset, uint64_t length) {
      if (operation != case_.operation || !name.starts_with(case_.file)) return 0;
      const uint64_t call = ++calls_;
      bool strikes = until_ == Until::gone ? call >= strike_ : call == strike_;
      if (strikes && until_ == Until::sector) bad_file_ = name, bad_offset_ = offset + length / 2;
      strikes = strikes || (until_ == Until::sector && name == bad_file_ && offset <= bad_offset_ && bad_offset_ < offset + length);
      struck_ = struck_ || strikes;
      return strikes ? case_.outcome : 0;
    });
  }
  void disarm() { f_.storage.set_fault({}); }

  void note(int error) {
    if (error == 0) return;
    failures_++;
    require(struck_ || stopped_, "an operation failed without a fault");
    const bool known = error == EIO || error == EROFS || error == ENOSPC;
    require(known, "an error that a block device has no business to return");
    require(error != ENOSPC || case_.outcome == ENOSPC, "ENOSPC that is none");
  }

  void work(int steps) {
    failures_after_ = failures_;
    for (int step = 0; step < steps; step++) {
      const uint64_t block = random_() % kBlocks;
      const uint64_t count = 1 + random_() % (kCluster - block % kCluster);
      switch (random_() % 16) {
        case 0:
        case 1:
          flushed(f_.store().flush());
          break;
        case 2: {
          const int error = f_.store().discard(address(block), count * 4096);
          note(error);
          for (uint64_t i = 0; i < count; i++) model_.write(block + i, 0, error == 0);
          break;
        }
        case 3:
          checkpointed(f_.store().checkpoint());
          break;
        case 4: {
          uint64_t rewritten = 0;
          checkpointed(f_.store().compact(0.9, &rewritten));
          break;
        }
        case 5:
          read(block, count);
          break;
        default: {
          for (uint64_t i = 0; i < count; i++) check::stamp(buffer_.data() + i * 4096, next_value_ + i);
          const bool durable = random_() % 8 == 0;
          const int error = f_.store().write(address(block), buffer_.data(), count * 4096, durable);
          note(error);
          for (uint64_t i = 0; i < count; i++) model_.write(block + i, next_value_++, error == 0);
          if (durable) flushed(error);
        }
      }
      stopped_ = stopped_ || f_.store().read_only();
      if (stopped_) require(!f_.store().stats().read_only_reason.empty(), "read-only without a reason");
    }
  }

  void flushed(int error) {
    note(error);
    if (error == 0) {
      require(!sync_failed_, "a flush succeeded after one had failed");
      model_.flush();
    } else if (case_.stops) {
      sync_failed_ = sync_failed_ || f_.store().read_only();
    }
  }

  void checkpointed(const store::Failure& failed) {
    if (!failed) {
      model_.flush();
    } else {
      failures_++;
      require(struck_ || stopped_, "a checkpoint failed without a fault");
    }
  }

  void read(uint64_t block, uint64_t count, bool any = false) {
    for (uint64_t i = 0; i < count; i++) {
      const int error = f_.store().read(address(block + i), buffer_.data(), 4096);
      if (error != 0) {
        require(error == EIO, "a read fails with anything but EIO");
        require(case_.silent || case_.operation == FakeOperation::read || case_.operation == FakeOperation::open,
                "a block cannot be read");
        continue;
      }
      const uint64_t value = check::stamp_of(buffer_.data());
      require(any || sync_failed_ ? model_.ever(block + i, value) : model_.holds(block + i, value, false), "wrong data");
    }
  }

  // The fault is gone, the store still open: it must not need a restart unless it stopped.
  void resumes() {
    if (f_.store().read_only()) {
      require(case_.stops, "the volume stopped");
      require(f_.store().write(0, buffer_.data(), 4096, false) == EROFS, "a stopped volume takes a write");
      require(f_.store().flush() == EIO, "a stopped volume flushes");
      return;
    }
    const uint64_t before = failures_;
    work(20);
    flushed(f_.store().flush());
    require(failures_ == before, "work fails though the fault is gone");
    require(f_.store().damage().empty() || case_.operation == FakeOperation::read, "damage where there is none");
  }

  void come_back() {
    const bool lost = f_.store().read_only() || sync_failed_;
    bool flushed_only = lost;
    switch (end_) {
      case End::close:
        (void)f_.close_whatever();
        if (!lost) model_.flush();
        break;
      case End::kill:
        f_.kill();
        break;
      case End::power:
        f_.cut_power(strike_);
        flushed_only = true;
        break;
    }
    const store::Failure failed = f_.try_open();
    if (failed) std::fprintf(stderr, "%s\n", failed.detail.c_str());
    require(!failed, "the store does not open again");
    for (const store::Damage& damage : f_.store().damage()) {
      require(damage.kind == "superblock" && strikes_superblock(), "damage is found after the fault");
    }
    for (uint64_t block = 0; block < kBlocks; block++) {
      require(f_.store().read(address(block), buffer_.data(), 4096) == 0, "a block cannot be read after the fault");
      const uint64_t value = check::stamp_of(buffer_.data());
      require(model_.holds(block, value, flushed_only), "a block lost what was acknowledged");
      model_.adopt(block, value);
    }
    sync_failed_ = stopped_ = struck_ = false;
    // What recovery showed is durable now: a power cut must not take it back.
    f_.cut_power(strike_ + 1);
    require(!f_.try_open(), "the store does not open after a second power cut");
    for (uint64_t block = 0; block < kBlocks; block++) {
      require(f_.store().read(address(block), buffer_.data(), 4096) == 0, "a block cannot be read after the power cut");
      require(model_.holds(block, check::stamp_of(buffer_.data()), true), "recovery served what was not durable");
    }
  }

  bool strikes_superblock() const { return std::strcmp(case_.file, "superblock") == 0; }
  void verify() { read(0, kBlocks); }

  const Case& case_;
  const uint64_t strike_;
  const Until until_;
  const End end_;
  store::Budget budget_{{.open_files = 4}};  // so that segments are opened again and again
  StoreFixture f_;
  std::mt19937_64 random_;
  std::vector<std::byte> buffer_;
  Model model_;
  uint64_t next_value_ = 1;
  uint64_t calls_ = 0;
  std::string bad_file_;
  uint64_t bad_offset_ = 0;
  uint64_t failures_ = 0, failures_after_ = 0;
  bool struck_ = false, stopped_ = false, sync_failed_ = false;
};

uint64_t stride(uint64_t calls) {
  if (const char* wanted = std::getenv("GALLEONFS_FAULT_STRIDE")) return std::strtoull(wanted, nullptr, 10);
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  constexpr uint64_t usual = 6;
#else
  constexpr uint64_t usual = 30;
#endif
  return std::max<uint64_t>(1, calls / usual);
}

// How often the fault could strike.
uint64_t sweep(const Case& fault_case, uint64_t (Run::*run)()) {
  const uint64_t calls = (Run(fault_case, UINT64_MAX, Until::once, End::close).*run)();
  int variant = 0;
  for (uint64_t strike = 1; strike <= calls; strike += stride(calls)) {
    for (const Until until : {Until::once, Until::gone, Until::sector}) {
      if (until == Until::sector && fault_case.operation != FakeOperation::read) continue;
      (void)(Run(fault_case, strike, until, static_cast<End>(variant++ % 3)).*run)();
    }
    if (variant % 3 == 0) variant++;
  }
  return calls;
}

}  // namespace

TEST("a fault at any call, of every kind") {
  const char* only = std::getenv("GALLEONFS_FAULT_CASE");
  for (const Case& fault_case : kCases) {
    if (only != nullptr && std::strstr(fault_case.name, only) == nullptr) continue;
    uint64_t calls = sweep(fault_case, &Run::run);
    if (!fault_case.silent) calls += sweep(fault_case, &Run::run_opening);
    if (calls == 0) std::fprintf(stderr, "%s: never called\n", fault_case.name);
    CHECK(calls > 0);
  }
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
namespace {
std::atomic<int> wall_clock_calls{0};
}

extern "C" int clock_gettime(clockid_t clock, timespec* time) noexcept {
  if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE || clock == CLOCK_TAI) wall_clock_calls++;
  return static_cast<int>(::syscall(SYS_clock_gettime, clock, time));
}

TEST("a wall clock that jumps changes nothing: nobody asks for it") {
  (void)std::chrono::system_clock::now();
  CHECK_EQ(wall_clock_calls, 1);
  StoreFixture f(16 << 20);
  f.open_options_.background = true;
  f.create();
  f.open();
  for (uint64_t round = 0; round < 40; round++) f.write(round % 8 << 20, pattern(1 << 20, round), round % 4 == 0);
  CHECK_EQ(f.store().discard(0, 1 << 20), 0);
  f.checkpoint();
  f.kill();
  f.open();
  f.close();
  CHECK_EQ(wall_clock_calls, 1);
}
#endif

TEST("a superblock whose sync failed is not built upon") {
  for (uint64_t seed = 0; seed < 8; seed++) {
    StoreFixture f(4 << 20, 4096, seed);
    const auto superblock_sync_fails = [&f] {
      f.storage.set_fault([](FakeOperation operation, const std::string& name, uint64_t, uint64_t) {
        return operation == FakeOperation::sync && name == "superblock" ? EIO : 0;
      });
    };
    f.create();
    f.open();
    for (uint64_t round = 0; round < 4; round++) {
      f.write(0, pattern(3 << 20, round), true);
      f.checkpoint();
    }
    superblock_sync_fails();
    f.write(0, pattern(4096, 90), true);
    CHECK_EQ(f.store().checkpoint().code, "STORE_IO");
    f.storage.set_fault({});
    // The page cache shows the superblock that the disk does not have.
    f.kill();
    f.open();
    f.write(0, pattern(3 << 20, 91), true);
    // The power goes while the next one is written.
    superblock_sync_fails();
    CHECK_EQ(f.store().checkpoint().code, "STORE_IO");
    f.storage.set_fault({});
    f.cut_power(seed);
    f.open();
    CHECK(f.read(0, 3 << 20) == pattern(3 << 20, 91));
  }
}

CHECK_MAIN()
