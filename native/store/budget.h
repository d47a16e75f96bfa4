// What all stores of a process may use together, so that the number of volumes bounds nothing but their own rest:
//   log entries    since the checkpoints, of all stores: what a recovery has to replay. Measured: 1.2 µs an entry with a busy
//                  machine (262,144 in 0.30 s), so the limit is 1.3 s.
//   undurable      log bytes that no sync has covered: recovery reads and verifies them. 1 GiB took 1.6 s; the limit is 0.4 s.
//   stragglers     waiting map updates, 32 bytes of memory each
//   open files     cached descriptors of segments; each store keeps a few more for good
// Each store reports its log now and then; sums are off by kReportEntries a store at most.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstdint>

namespace galleonfs::store {

class Budget {
 public:
  struct Limits {
    uint64_t log_entries = 1 << 20;
    uint64_t undurable_bytes = 256 << 20;
    uint64_t stragglers = 512 << 10;
    uint64_t open_files = 1024;
  };
  static constexpr uint64_t kReportEntries = 512;

  Budget() = default;
  explicit Budget(const Limits& limits) : limits_(limits) {}

  // One store's part.
  class Share {
   public:
    explicit Share(Budget& budget) : budget_(budget) { budget_.stores_++; }
    ~Share() {
      report(0);
      budget_.stores_--;
    }
    Share(const Share&) = delete;
    Share& operator=(const Share&) = delete;

    void report(uint64_t log_entries) {
      const uint64_t old = reported_.load(std::memory_order_relaxed);
      const uint64_t change = log_entries > old ? log_entries - old : old - log_entries;
      if (change < kReportEntries && log_entries != 0) return;
      const uint64_t before = reported_.exchange(log_entries);
      budget_.log_entries_ += log_entries - before;
      if (before == 0 && log_entries != 0) budget_.writers_++;
      if (before != 0 && log_entries == 0) budget_.writers_--;
    }
    // It is time for a checkpoint, for the others' sake.
    bool log_is_long(uint64_t own) const { return own >= kOwnEntries && budget_.log_entries_ >= budget_.limits_.log_entries / 2; }
    // No write until there was one.
    bool log_is_full(uint64_t own) const { return own >= kOwnEntries && budget_.log_entries_ >= budget_.limits_.log_entries; }
    uint64_t undurable_bytes() const {
      return std::max(kUndurableMin, budget_.limits_.undurable_bytes / std::max<uint64_t>(1, budget_.writers_));
    }
    uint64_t stragglers() const { return of_stores(budget_.limits_.stragglers, 4096); }
    uint64_t open_files() const { return of_stores(budget_.limits_.open_files, 4); }

   private:
    // Logs shorter than this are nobody's trouble.
    static constexpr uint64_t kOwnEntries = 2048;
    static constexpr uint64_t kUndurableMin = 4 << 20;
    uint64_t of_stores(uint64_t all, uint64_t at_least) const {
      return std::max(at_least, all / std::max<uint64_t>(1, budget_.stores_));
    }
    Budget& budget_;
    std::atomic<uint64_t> reported_{0};
  };

  uint64_t log_entries() const { return log_entries_; }

  // For stores whose environment has none.
  static Budget& process() {
    static Budget budget;
    return budget;
  }

 private:
  const Limits limits_;
  std::atomic<uint64_t> log_entries_{0};
  std::atomic<uint64_t> writers_{0};  // stores that reported a log
  std::atomic<uint64_t> stores_{0};
};

}  // namespace galleonfs::store
