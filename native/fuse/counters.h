// What a session has done, readable from any thread at any time. Values are each exact; together they are not a snapshot.
#pragma once
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace galleonfs::fuse {

enum class OpGroup : size_t { read, write, flush, discard, metadata, other, count };

struct CounterValues {
  std::array<uint64_t, static_cast<size_t>(OpGroup::count)> requests{};
  std::array<uint64_t, static_cast<size_t>(OpGroup::count)> errors{};  // replies with an errno, ENOENT of a lookup too
  uint64_t bytes_read = 0;
  uint64_t bytes_written = 0;
  uint64_t in_flight = 0;  // requests being served now
};

class Counters {
 public:
  void begin(OpGroup group) noexcept {
    add(requests_[index(group)], 1);
    add(in_flight_, 1);
  }
  void end(OpGroup group, bool failed) noexcept {
    if (failed) add(errors_[index(group)], 1);
    in_flight_.fetch_sub(1, std::memory_order_relaxed);
  }
  void read_bytes(uint64_t n) noexcept { add(bytes_read_, n); }
  void written_bytes(uint64_t n) noexcept { add(bytes_written_, n); }

  CounterValues values() const noexcept {
    CounterValues v;
    for (size_t i = 0; i < requests_.size(); i++) {
      v.requests[i] = requests_[i].load(std::memory_order_relaxed);
      v.errors[i] = errors_[i].load(std::memory_order_relaxed);
    }
    v.bytes_read = bytes_read_.load(std::memory_order_relaxed);
    v.bytes_written = bytes_written_.load(std::memory_order_relaxed);
    v.in_flight = in_flight_.load(std::memory_order_relaxed);
    return v;
  }

 private:
  using Count = std::atomic<uint64_t>;
  static size_t index(OpGroup group) noexcept { return static_cast<size_t>(group); }
  static void add(Count& c, uint64_t n) noexcept { c.fetch_add(n, std::memory_order_relaxed); }

  std::array<Count, static_cast<size_t>(OpGroup::count)> requests_{};
  std::array<Count, static_cast<size_t>(OpGroup::count)> errors_{};
  Count bytes_read_{0};
  Count bytes_written_{0};
  Count in_flight_{0};
};

}  // namespace galleonfs::fuse
