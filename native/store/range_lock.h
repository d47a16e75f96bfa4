// Locks ranges of logical blocks against other writers. Few are held at once (one a request), so a list serves.
#pragma once
#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace galleonfs::store {

class RangeLock {
 public:
  class Guard {
   public:
    // Waits until no other holder overlaps [first, end).
    Guard(RangeLock& lock, uint64_t first, uint64_t end) : lock_(lock), first_(first), end_(end) {
      std::unique_lock hold(lock_.mutex_);
      while (lock_.overlaps(first, end)) {
        lock_.waiters_++;
        lock_.changed_.wait(hold);
        lock_.waiters_--;
      }
      next_ = lock_.held_;
      lock_.held_ = this;
    }
    ~Guard() {
      bool wake = false;
      {
        const std::lock_guard hold(lock_.mutex_);
        Guard** at = &lock_.held_;
        while (*at != this) at = &(*at)->next_;
        *at = next_;
        wake = lock_.waiters_ > 0;
      }
      if (wake) lock_.changed_.notify_all();
    }
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;

   private:
    friend class RangeLock;
    RangeLock& lock_;
    uint64_t first_;
    uint64_t end_;
    Guard* next_ = nullptr;
  };

 private:
  bool overlaps(uint64_t first, uint64_t end) const {
    for (const Guard* at = held_; at != nullptr; at = at->next_) {
      if (at->first_ < end && first < at->end_) return true;
    }
    return false;
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  Guard* held_ = nullptr;
  int waiters_ = 0;
};

}  // namespace galleonfs::store
