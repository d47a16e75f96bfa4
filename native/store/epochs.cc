#include "epochs.h"

#include <utility>

namespace galleonfs::store {
namespace {

std::atomic<size_t> next_stripe{0};

}  // namespace

std::atomic<uint32_t>* Epochs::enter() {
  thread_local const size_t mine = next_stripe.fetch_add(1, std::memory_order_relaxed) % kStripes;
  for (;;) {
    const uint64_t epoch = epoch_.load(std::memory_order_seq_cst);
    std::atomic<uint32_t>& counter = stripes_[mine].readers[epoch % 3];
    counter.fetch_add(1, std::memory_order_seq_cst);
    if (epoch_.load(std::memory_order_seq_cst) == epoch) return &counter;
    counter.fetch_sub(1, std::memory_order_release);
  }
}

void Epochs::retire(std::function<void()> reclaim) {
  const std::lock_guard lock(mutex_);
  retired_.push_back({epoch_.load(), std::move(reclaim)});
}

bool Epochs::collect() {
  std::vector<Retired> due;
  bool empty = false;
  {
    const std::lock_guard lock(mutex_);
    for (int step = 0; step < 2 && !retired_.empty(); step++) {
      const uint64_t epoch = epoch_.load();
      bool busy = false;
      for (Stripe& stripe : stripes_) busy = busy || stripe.readers[(epoch - 1) % 3].load(std::memory_order_seq_cst) != 0;
      if (busy) break;
      epoch_.store(epoch + 1, std::memory_order_seq_cst);
    }
    const uint64_t epoch = epoch_.load();
    std::vector<Retired> waiting;
    for (Retired& item : retired_) (item.epoch + 2 <= epoch ? due : waiting).push_back(std::move(item));
    retired_ = std::move(waiting);
    empty = retired_.empty();
  }
  for (const Retired& item : due) item.reclaim();
  return empty;
}

void Epochs::run_all() {
  std::vector<Retired> all;
  {
    const std::lock_guard lock(mutex_);
    all = std::exchange(retired_, {});
  }
  for (const Retired& item : all) item.reclaim();
}

}  // namespace galleonfs::store
