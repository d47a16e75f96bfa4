#include "inherited_slots.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace galleonfs::fuse {
namespace {

constexpr int kErrnoMax = 511;  // the kernel refuses replies beyond

off_t offset_of(size_t slot) { return static_cast<off_t>(kFirstSlot + slot * kSlotBytes); }

bool read_whole(int fd, void* into, size_t length, off_t offset) noexcept {
  for (size_t done = 0; done < length;) {
    ssize_t n = pread(fd, static_cast<std::byte*>(into) + done, length - done, offset + static_cast<off_t>(done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    done += static_cast<size_t>(n);
  }
  return true;
}

template <class T>
bool read_value(int fd, T& value, off_t offset) noexcept {
  return read_whole(fd, &value, sizeof value, offset);
}

// One page or less at a time: a kill leaves each of them done or not done.
template <class T>
void write_value(int fd, const T& value, off_t offset) noexcept {
  while (pwrite(fd, &value, sizeof value, offset) < 0 && errno == EINTR) {
  }
}

}  // namespace

InheritedSlots::InheritedSlots(int fd) noexcept : fd_(fd) {
  struct stat st;
  SlotsHeader header;
  if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || !read_value(fd, header, 0)) return;
  if (memcmp(header.magic, kSlotsMagic, sizeof header.magic) != 0 || header.version != kSlotsVersion) return;
  if (header.slot_bytes != kSlotBytes || header.count == 0 || header.count > kSlotsCountMax) return;
  if (st.st_size < offset_of(header.count)) return;
  count_ = header.count;
}

InheritedSlots::~InheritedSlots() {
  if (fd_ >= 0) close(fd_);
}

InheritedSlots::InheritedSlots(InheritedSlots&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), count_(std::exchange(other.count_, 0)) {}

std::optional<InheritedRequest> InheritedSlots::at(size_t slot) const noexcept {
  SlotHeader header;
  uint64_t unique;
  if (slot >= count_ || !read_value(fd_, header, offset_of(slot)) ||
      !read_value(fd_, unique, offset_of(slot) + static_cast<off_t>(kSlotUnique))) {
    return std::nullopt;
  }
  const bool applied = header.state == SlotState::applied;
  if (unique == 0 || (!applied && header.state != SlotState::reading)) return std::nullopt;
  InheritedRequest request{slot, header.key, header.index, unique, applied, 0, 0, {}};
  if (!applied) return request;
  if (header.error > kErrnoMax || header.body_length > kSlotResultMax) return std::nullopt;
  request.error = static_cast<int>(header.error);
  request.body_length = header.body_length;
  memcpy(request.body.data(), header.body, header.body_length);
  return request;
}

size_t InheritedSlots::load(size_t slot, std::byte* into) const noexcept {
  const off_t message = offset_of(slot) + static_cast<off_t>(kSlotMessage);
  uint32_t length;
  if (slot >= count_ || !read_value(fd_, length, message)) return 0;
  if (length < sizeof(fuse_in_header) || length > kSlotMessageMax) return 0;
  return read_whole(fd_, into, length, message) ? length : 0;
}

void InheritedSlots::keep_result(size_t slot, int error, const std::byte* body, size_t body_length) noexcept {
  if (slot >= count_ || body_length > kSlotResultMax) return;
  SlotHeader header;
  if (!read_value(fd_, header, offset_of(slot))) return;
  header.error = static_cast<uint32_t>(error);
  header.body_length = static_cast<uint32_t>(body_length);
  memcpy(header.body, body, body_length);
  write_value(fd_, header, offset_of(slot));
  write_value(fd_, SlotState::applied, offset_of(slot));
}

void InheritedSlots::end_request(size_t slot) noexcept {
  if (slot < count_) write_value(fd_, uint64_t{0}, offset_of(slot) + static_cast<off_t>(kSlotUnique));
}

}  // namespace galleonfs::fuse
