#include "request_slots.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

namespace galleonfs::fuse {
namespace {

off_t offset_of(size_t slot) { return static_cast<off_t>(kFirstSlot + slot * kSlotBytes); }

int create_file(size_t count, int& error) {
  int fd = memfd_create("galleonfs-slots", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
  if (fd < 0 && errno == EINVAL) fd = memfd_create("galleonfs-slots", MFD_CLOEXEC | MFD_ALLOW_SEALING);  // before 6.3
  SlotsHeader header{};
  memcpy(header.magic, kSlotsMagic, sizeof header.magic);
  header.version = kSlotsVersion;
  header.count = static_cast<uint32_t>(count);
  header.slot_bytes = kSlotBytes;
  if (fd >= 0 && ftruncate(fd, offset_of(count)) == 0 && pwrite(fd, &header, sizeof header, 0) == sizeof header &&
      fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0) {
    return fd;
  }
  error = errno ? errno : EIO;
  if (fd >= 0) close(fd);
  return -1;
}

}  // namespace

RequestSlots::RequestSlots(size_t count) noexcept : count_(std::min(count, kSlotsCountMax)), taken_(count_, nullptr) {
  fd_ = create_file(count_, error_);
}

RequestSlots::~RequestSlots() {
  for (std::byte* slot : taken_) {
    if (slot != nullptr) munmap(slot, kSlotBytes);
  }
  if (fd_ >= 0) close(fd_);
}

std::byte* RequestSlots::take() noexcept {
  if (fd_ < 0) return nullptr;
  std::lock_guard lock(mutex_);
  auto free = std::find(taken_.begin(), taken_.end(), nullptr);
  if (free == taken_.end()) return nullptr;
  size_t number = static_cast<size_t>(free - taken_.begin());
  void* p = mmap(nullptr, kSlotBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, offset_of(number));
  if (p == MAP_FAILED) return nullptr;
  auto* slot = static_cast<std::byte*>(p);
  // By writing: MAP_POPULATE reads shared mappings only. Out of memory is then SIGBUS, so the file's pages come first.
  if (fallocate(fd_, FALLOC_FL_KEEP_SIZE, offset_of(number), kSlotUsed) != 0) {
    munmap(p, kSlotBytes);
    return nullptr;
  }
  for (size_t at = 0; at < kSlotUsed; at += kPageBytes) *const_cast<volatile std::byte*>(slot + at) = std::byte{0};
  madvise(p, kSlotBytes, MADV_DONTFORK);
  (void)mlock(p, kSlotUsed);  // often refused (RLIMIT_MEMLOCK); prefaulted pages are then merely likely to stay
  return *free = slot;
}

void RequestSlots::give_back(std::byte* slot) noexcept {
  std::lock_guard lock(mutex_);
  auto found = std::find(taken_.begin(), taken_.end(), slot);
  if (found == taken_.end()) return;
  munmap(slot, kSlotBytes);
  fallocate(fd_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset_of(static_cast<size_t>(found - taken_.begin())), kSlotBytes);
  *found = nullptr;
}

}  // namespace galleonfs::fuse
