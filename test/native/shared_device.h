// A BlockDevice whose bytes and tallies lie in a memfd, so that one process after another can serve it while the test looks on.
#pragma once
#include <fcntl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "block_device.h"

namespace galleonfs::check {

class SharedDevice final : public BlockDevice {
 public:
  static constexpr uint64_t kBlock = 4096;

  struct Shared {
    std::atomic<uint64_t> reads, writes, flushes, discards;  // begun, by whatever process
    // Operations on this offset wait, before they do anything; -1: none.
    std::atomic<int64_t> held_offset;
    std::atomic<int> holding;  // operations that waited there
    std::atomic<int> next_flush_error;
    std::atomic<int> page_faults_held;
    // What one serving process leaves for the next: fuse::Negotiated as text, and the mount's device.
    char negotiated[128];
    char device_id[32];
  };

  // A new one.
  explicit SharedDevice(uint64_t size) : SharedDevice(create(size), size) { shared_->held_offset = -1; }
  // One that another process made; takes `fd`.
  SharedDevice(int fd, uint64_t size) : fd_(fd), size_(size) {
    void* p = mmap(nullptr, kData + size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED) abort();
    shared_ = static_cast<Shared*>(p);
    bytes_ = static_cast<std::byte*>(p) + kData;
  }
  ~SharedDevice() override {
    munmap(static_cast<void*>(shared_), kData + size_);
    close(fd_);
  }
  SharedDevice(const SharedDevice&) = delete;
  SharedDevice& operator=(const SharedDevice&) = delete;

  int fd() const noexcept { return fd_; }
  Shared& shared() noexcept { return *shared_; }
  const std::byte* bytes() const noexcept { return bytes_; }

  uint64_t size_bytes() const noexcept override { return size_; }
  uint32_t block_size_bytes() const noexcept override { return kBlock; }
  uint64_t allocated_bytes() const noexcept override { return size_; }
  bool read_only() const noexcept override { return false; }

  int read(uint64_t offset, std::byte* into, size_t length) noexcept override {
    if (!inside(offset, length)) return EINVAL;
    shared_->reads++;
    wait_if_held(offset);
    copy(into, bytes_ + offset, length);
    return 0;
  }
  int write(uint64_t offset, const std::byte* from, size_t length, bool) noexcept override {
    if (!inside(offset, length)) return EINVAL;
    shared_->writes++;
    wait_if_held(offset);
    copy(bytes_ + offset, from, length);
    return 0;
  }
  int flush() noexcept override {
    shared_->flushes++;
    return shared_->next_flush_error.exchange(0);
  }
  int discard(uint64_t offset, uint64_t length) noexcept override {
    if (!inside(offset, length)) return EINVAL;
    shared_->discards++;
    wait_if_held(offset);
    clear(bytes_ + offset, length);
    return 0;
  }
  int seek(uint64_t offset, bool want_data, uint64_t* found) noexcept override {
    if (offset >= size_) return ENXIO;
    *found = want_data ? offset : size_;
    return 0;
  }

 private:
  static constexpr size_t kData = 4096;
  static_assert(sizeof(Shared) <= kData);

  static int create(uint64_t size) {
    int fd = memfd_create("shared-device", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, static_cast<off_t>(kData + size)) != 0) abort();
    return fd;
  }

// One program's requests follow each other through the kernel, which ThreadSanitizer does not see.
#if defined(__SANITIZE_THREAD__)
  __attribute__((no_sanitize("thread"))) static void copy(std::byte* to, const std::byte* from, size_t n) noexcept {
    for (size_t i = 0; i < n; i++) to[i] = from[i];
  }
  // Volatile, or the compiler makes a call of memset() of it, which is watched.
  __attribute__((no_sanitize("thread"))) static void clear(volatile std::byte* to, size_t n) noexcept {
    for (size_t i = 0; i < n; i++) to[i] = std::byte{0};
  }
#else
  static void copy(std::byte* to, const std::byte* from, size_t n) noexcept { std::memcpy(to, from, n); }
  static void clear(std::byte* to, size_t n) noexcept { std::memset(to, 0, n); }
#endif

  bool inside(uint64_t offset, uint64_t length) const noexcept { return offset <= size_ && length <= size_ - offset; }

  void wait_if_held(uint64_t offset) noexcept {
    if (shared_->held_offset.load() != static_cast<int64_t>(offset)) return;
    shared_->holding++;
    while (shared_->held_offset.load() == static_cast<int64_t>(offset)) {
      timespec t{0, 1'000'000};
      nanosleep(&t, nullptr);
    }
  }

  int fd_;
  uint64_t size_;
  Shared* shared_;
  std::byte* bytes_;
};

}  // namespace galleonfs::check
