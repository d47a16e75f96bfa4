// Found damage: counted for ever, kept in detail up to a bound.
#pragma once
#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>

#include "store.h"

namespace galleonfs::store {

class DamageLog {
 public:
  void add(Damage damage) {
    count_.fetch_add(1, std::memory_order_relaxed);
    const std::lock_guard lock(mutex_);
    by_kind_[damage.kind]++;
    const bool known = std::any_of(found_.begin(), found_.end(), [&](const Damage& other) {
      return other.file_offset_bytes == damage.file_offset_bytes && other.volume_offset_bytes == damage.volume_offset_bytes &&
             other.file == damage.file && other.kind == damage.kind;
    });
    if (!known && found_.size() < kKept) found_.push_back(std::move(damage));
  }
  uint64_t count() const { return count_.load(std::memory_order_relaxed); }
  std::map<std::string, uint64_t> by_kind() const {
    const std::lock_guard lock(mutex_);
    return by_kind_;
  }
  std::vector<Damage> found() const {
    const std::lock_guard lock(mutex_);
    return found_;
  }

 private:
  static constexpr size_t kKept = 1000;
  mutable std::mutex mutex_;
  std::vector<Damage> found_;  // each place once
  std::map<std::string, uint64_t> by_kind_;
  std::atomic<uint64_t> count_{0};
};

}  // namespace galleonfs::store
