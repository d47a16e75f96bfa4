// Found damage: counted for ever, kept in detail up to a bound.
#pragma once
#include <atomic>
#include <mutex>

#include "store.h"

namespace galleonfs::store {

class DamageLog {
 public:
  void add(Damage damage) {
    count_.fetch_add(1, std::memory_order_relaxed);
    const std::lock_guard lock(mutex_);
    if (found_.size() < kKept) found_.push_back(std::move(damage));
  }
  uint64_t count() const { return count_.load(std::memory_order_relaxed); }
  std::vector<Damage> found() const {
    const std::lock_guard lock(mutex_);
    return found_;
  }

 private:
  static constexpr size_t kKept = 1000;
  mutable std::mutex mutex_;
  std::vector<Damage> found_;
  std::atomic<uint64_t> count_{0};
};

}  // namespace galleonfs::store
