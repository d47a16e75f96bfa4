// Counts and times one kind of operation without locks.
#pragma once
#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <chrono>

#include "store.h"

namespace galleonfs::store {

class OperationMeter {
 public:
  // Times one operation; tell it the outcome before it goes.
  class Timer {
   public:
    Timer(OperationMeter& meter, uint64_t bytes) : meter_(meter), bytes_(bytes), start_(std::chrono::steady_clock::now()) {}
    ~Timer() { meter_.add(bytes_, error_, std::chrono::steady_clock::now() - start_); }
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;
    int done(int error) {
      error_ = error;
      return error;
    }

   private:
    OperationMeter& meter_;
    uint64_t bytes_;
    int error_ = 0;
    std::chrono::steady_clock::time_point start_;
  };

  OperationStats read() const {
    OperationStats stats;
    stats.operations = operations_.load(std::memory_order_relaxed);
    stats.bytes = bytes_.load(std::memory_order_relaxed);
    stats.errors = errors_.load(std::memory_order_relaxed);
    stats.latency_us_sum = nanoseconds_.load(std::memory_order_relaxed) / 1000;
    for (int i = 0; i < kLatencyBuckets; i++) stats.latency[i] = latency_[i].load(std::memory_order_relaxed);
    return stats;
  }

 private:
  void add(uint64_t bytes, int error, std::chrono::nanoseconds took) {
    operations_.fetch_add(1, std::memory_order_relaxed);
    (error == 0 ? bytes_ : errors_).fetch_add(error == 0 ? bytes : 1, std::memory_order_relaxed);
    const auto nanoseconds = static_cast<uint64_t>(took.count());
    nanoseconds_.fetch_add(nanoseconds, std::memory_order_relaxed);
    // Bucket i: below 2^i microseconds.
    const int bucket = std::min(static_cast<int>(std::bit_width(nanoseconds / 1000)), kLatencyBuckets - 1);
    latency_[bucket].fetch_add(1, std::memory_order_relaxed);
  }
  std::atomic<uint64_t> operations_{0}, bytes_{0}, errors_{0}, nanoseconds_{0};
  std::array<std::atomic<uint64_t>, kLatencyBuckets> latency_{};
};

}  // namespace galleonfs::store
