// Epoch-based reclamation: what a reader may still be looking at (a map root, an open file, a dead segment's file) is
// given back only after every reader that could have seen it has left.
//
// Invariant: a reader that entered at epoch e saw nothing retired before e. What was retired at epoch r is reclaimed
// when the epoch has reached r + 2, and the epoch moves from e to e + 1 only when no reader of e - 1 is left.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <vector>

namespace galleonfs::store {

class Epochs {
 public:
  class Guard {
   public:
    explicit Guard(Epochs& epochs) : counter_(epochs.enter()) {}
    ~Guard() { counter_->fetch_sub(1, std::memory_order_release); }
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;

   private:
    std::atomic<uint32_t>* counter_;
  };

  ~Epochs() { run_all(); }

  // Runs `reclaim` once no reader can see the thing any more, from a later collect().
  void retire(std::function<void()> reclaim);
  // Moves the epoch on if readers allow and reclaims what is due. True if nothing is left waiting.
  bool collect();
  // Only when no reader exists any more.
  void run_all();

 private:
  static constexpr size_t kStripes = 32;
  struct alignas(64) Stripe {
    std::array<std::atomic<uint32_t>, 3> readers{};  // by epoch % 3
  };
  struct Retired {
    uint64_t epoch;
    std::function<void()> reclaim;
  };
  std::atomic<uint32_t>* enter();

  std::array<Stripe, kStripes> stripes_;
  std::atomic<uint64_t> epoch_{3};
  std::mutex mutex_;  // guards retired_ and the moving of epoch_
  std::vector<Retired> retired_;
};

}  // namespace galleonfs::store
