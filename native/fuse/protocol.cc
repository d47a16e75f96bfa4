#include "protocol.h"

#include <cstring>

namespace galleonfs::fuse {
namespace {

// What is left of a message; every take checks.
class Rest {
 public:
  Rest(const std::byte* at, size_t length) : at_(at), length_(length) {}

  template <class T>
  bool take(T& into) noexcept {
    if (length_ < sizeof(T)) return false;
    std::memcpy(&into, at_, sizeof(T));  // the message need not be aligned for T
    skip(sizeof(T));
    return true;
  }

  // A name is at least one byte and NUL-terminated inside the message.
  bool take_name(std::string_view& name) noexcept {
    const void* end = length_ == 0 ? nullptr : std::memchr(at_, 0, length_);
    if (end == nullptr || end == at_) return false;
    size_t n = static_cast<size_t>(static_cast<const std::byte*>(end) - at_);
    name = {reinterpret_cast<const char*>(at_), n};
    skip(n + 1);
    return true;
  }

  const std::byte* at() const noexcept { return at_; }
  size_t length() const noexcept { return length_; }

 private:
  void skip(size_t n) noexcept {
    at_ += n;
    length_ -= n;
  }

  const std::byte* at_;
  size_t length_;
};

// Kernels before 7.36 send 16 bytes of INIT, later ones 64: what is missing reads as zero.
bool take_init(Rest& rest, fuse_init_in& init) noexcept {
  constexpr size_t kOldest = 16;
  if (rest.length() < kOldest) return false;
  std::memset(&init, 0, sizeof init);
  std::memcpy(&init, rest.at(), rest.length() < sizeof init ? rest.length() : sizeof init);
  return true;
}

bool take_write(Rest& rest, Request& request) noexcept {
  if (!rest.take(request.write)) return false;
  if (request.write.size > kTransferMax || request.write.size != rest.length()) return false;
  request.payload = rest.at();
  request.payload_length = rest.length();
  return true;
}

bool take_arguments(Rest& rest, Request& request) noexcept {
  switch (request.header.opcode) {
    case FUSE_INIT: return take_init(rest, request.init);
    case FUSE_LOOKUP: return rest.take_name(request.name);
    case FUSE_GETATTR: return rest.take(request.getattr);
    case FUSE_SETATTR: return rest.take(request.setattr);
    case FUSE_OPEN:
    case FUSE_OPENDIR: return rest.take(request.open);
    case FUSE_READ:
    case FUSE_READDIR:
    case FUSE_READDIRPLUS: return rest.take(request.read) && request.read.size <= kTransferMax;
    case FUSE_WRITE: return take_write(rest, request);
    case FUSE_FLUSH: return rest.take(request.flush);
    case FUSE_FSYNC:
    case FUSE_FSYNCDIR: return rest.take(request.fsync);
    case FUSE_RELEASE:
    case FUSE_RELEASEDIR: return rest.take(request.release);
    case FUSE_ACCESS: return rest.take(request.access);
    case FUSE_FALLOCATE: return rest.take(request.fallocate);
    case FUSE_LSEEK: return rest.take(request.lseek);
    case FUSE_COPY_FILE_RANGE: return rest.take(request.copy);
    case FUSE_GETXATTR: return rest.take(request.getxattr) && rest.take_name(request.name);
    case FUSE_LISTXATTR: return rest.take(request.getxattr);
    case FUSE_INTERRUPT: return rest.take(request.interrupt);
    case FUSE_FORGET: return rest.take(request.forget);
    case FUSE_BATCH_FORGET:
      return rest.take(request.batch_forget) &&
             request.batch_forget.count <= rest.length() / sizeof(fuse_forget_one);
    case FUSE_IOCTL: return rest.take(request.ioctl);
    // The rest is refused whatever its arguments say, so they are not looked at.
    default: return true;
  }
}

}  // namespace

Parsed parse_request(const std::byte* message, size_t length, Request& request) noexcept {
  Rest rest(message, length);
  if (!rest.take(request.header) || request.header.len != length) return Parsed::no_header;
  request.name = {};
  request.payload = nullptr;
  request.payload_length = 0;
  if (take_arguments(rest, request)) return Parsed::ok;
  std::memset(&request.setattr, 0, sizeof request.setattr);  // still read for counting
  return Parsed::bad_arguments;
}

bool wants_no_reply(uint32_t opcode) noexcept {
  return opcode == FUSE_FORGET || opcode == FUSE_BATCH_FORGET || opcode == FUSE_NOTIFY_REPLY;
}

bool has_effect(uint32_t opcode) noexcept {
  switch (opcode) {
    case FUSE_WRITE:
    case FUSE_SETATTR:
    case FUSE_FALLOCATE:
    case FUSE_COPY_FILE_RANGE:
    case FUSE_FSYNC:
    case FUSE_SYNCFS: return true;
    default: return false;
  }
}

}  // namespace galleonfs::fuse
