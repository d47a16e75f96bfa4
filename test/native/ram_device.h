// A BlockDevice in memory that other processes can look into: its bytes and its tallies lie in a shared mapping, so that
// a test may serve it in one process and examine it from another. Blocks know whether they were written.
#pragma once
#include <sys/mman.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "block_device.h"

namespace galleonfs::check {

class RamDevice final : public BlockDevice {
 public:
  struct Shared {
    std::atomic<uint64_t> reads, writes, durable_writes, flushes, discards;
    std::atomic<uint64_t> unaligned_payloads;  // large writes whose memory did not begin on a page
    std::atomic<uint64_t> allocated_blocks;
    std::atomic<bool> read_only;
    std::atomic<int> next_error;      // returned once by the next call that can fail
    std::atomic<uint32_t> delay_us;   // before every read and write
    std::atomic<uint32_t> flush_delay_us;
  };

  // `track`: whether blocks are marked when written; without it, seek and allocated_bytes see all as data.
  explicit RamDevice(uint64_t size, bool track = true)
      : size_(size), blocks_((size + kBlock - 1) / kBlock), track_(track) {
    shared_ = static_cast<Shared*>(map(sizeof(Shared), true));
    bytes_ = static_cast<std::byte*>(map(size, track));
    written_ = static_cast<std::atomic<uint8_t>*>(map(blocks_, true));
  }
  ~RamDevice() override {
    munmap(shared_, sizeof(Shared));
    munmap(bytes_, size_);
    munmap(static_cast<void*>(written_), blocks_);
  }
  RamDevice(const RamDevice&) = delete;
  RamDevice& operator=(const RamDevice&) = delete;

  Shared& shared() noexcept { return *shared_; }
  std::byte* bytes() noexcept { return bytes_; }

  uint64_t size_bytes() const noexcept override { return size_; }
  uint32_t block_size_bytes() const noexcept override { return kBlock; }
  uint64_t allocated_bytes() const noexcept override { return track_ ? shared_->allocated_blocks.load() * kBlock : size_; }
  bool read_only() const noexcept override { return shared_->read_only.load(std::memory_order_relaxed); }

  int read(uint64_t offset, std::byte* into, size_t length) noexcept override {
    if (int e = enter(offset, length)) return e;
    if (track_) shared_->reads.fetch_add(1);
    copy(into, bytes_ + offset, length);
    return 0;
  }

  int write(uint64_t offset, const std::byte* from, size_t length, bool durable) noexcept override {
    if (read_only()) return EROFS;
    if (int e = enter(offset, length)) return e;
    if (track_) {
      shared_->writes.fetch_add(1);
      if (durable) shared_->durable_writes.fetch_add(1);
      if (length >= kBlock && reinterpret_cast<uintptr_t>(from) % kBlock != 0) shared_->unaligned_payloads.fetch_add(1);
      mark(offset, length);
    }
    copy(bytes_ + offset, from, length);
    return 0;
  }

  int flush() noexcept override {
    if (int e = shared_->next_error.exchange(0)) return e;
    if (uint32_t us = shared_->flush_delay_us.load()) pause(us);
    shared_->flushes.fetch_add(1);
    return 0;
  }

  int discard(uint64_t offset, uint64_t length) noexcept override {
    if (read_only()) return EROFS;
    if (int e = enter(offset, length)) return e;
    shared_->discards.fetch_add(1);
    std::memset(bytes_ + offset, 0, length);
    uint64_t first = (offset + kBlock - 1) / kBlock;
    uint64_t end = offset + length == size_ ? blocks_ : (offset + length) / kBlock;
    for (uint64_t b = first; b < end; b++) {
      if (written_[b].exchange(0)) shared_->allocated_blocks.fetch_sub(1);
    }
    return 0;
  }

  int seek(uint64_t offset, bool want_data, uint64_t* found) noexcept override {
    if (offset >= size_) return ENXIO;
    for (uint64_t b = offset / kBlock; b < blocks_; b++) {
      bool data = !track_ || written_[b].load() != 0;
      if (data == want_data) {
        *found = std::max(offset, b * kBlock);
        return 0;
      }
    }
    if (want_data) return ENXIO;
    *found = size_;
    return 0;
  }

 private:
  static constexpr uint64_t kBlock = 4096;

  static void* map(size_t n, bool shared) {
    int flags = MAP_ANONYMOUS | (shared ? MAP_SHARED : MAP_PRIVATE | MAP_POPULATE);
    void* p = mmap(nullptr, n, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (p == MAP_FAILED) abort();
    return p;
  }

  static void pause(uint32_t us) noexcept {
    timespec t{us / 1000000, static_cast<long>(us % 1000000) * 1000};
    nanosleep(&t, nullptr);
  }

// Two programs that write one block at once get either's bytes, as on a disk: not an error of the program under test.
#if defined(__SANITIZE_THREAD__)
  __attribute__((no_sanitize("thread"))) static void copy(std::byte* to, const std::byte* from, size_t n) noexcept {
    for (size_t i = 0; i < n; i++) to[i] = from[i];
  }
#else
  static void copy(std::byte* to, const std::byte* from, size_t n) noexcept { std::memcpy(to, from, n); }
#endif

  int enter(uint64_t offset, uint64_t length) noexcept {
    if (offset > size_ || length > size_ - offset) return EINVAL;
    if (uint32_t us = shared_->delay_us.load(std::memory_order_relaxed)) pause(us);
    if (shared_->next_error.load(std::memory_order_relaxed) == 0) return 0;
    return shared_->next_error.exchange(0);
  }

  void mark(uint64_t offset, uint64_t length) noexcept {
    if (length == 0) return;
    for (uint64_t b = offset / kBlock; b <= (offset + length - 1) / kBlock; b++) {
      if (!written_[b].exchange(1)) shared_->allocated_blocks.fetch_add(1);
    }
  }

  const uint64_t size_;
  const uint64_t blocks_;
  const bool track_;
  Shared* shared_;
  std::byte* bytes_;
  std::atomic<uint8_t>* written_;
};

}  // namespace galleonfs::check
