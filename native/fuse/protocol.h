// The FUSE wire format as the kernel speaks it: raw bytes in, a checked request out. Pure functions, no descriptors.
//
// A message from the kernel (all integers in host order):
//   offset  size  field
//        0     4  length of the whole message
//        4     4  opcode
//        8     8  unique id, echoed in the reply
//       16     8  node id
//       24    16  uid, gid, pid, extension length
//       40     n  arguments of the opcode (a struct of <linux/fuse.h>), then names or payload
// A WRITE's payload begins at byte 80, which is why request_buffers.h places messages 80 bytes before a page.
#pragma once
#include <linux/fuse.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace galleonfs::fuse {

inline constexpr size_t kTransferMax = 1 << 20;        // bytes of payload in one READ or WRITE; later versions: never less
inline constexpr size_t kPageBytes = 4096;             // of the wire: max_pages counts these
inline constexpr size_t kWritePayloadOffset = sizeof(fuse_in_header) + sizeof(fuse_write_in);
inline constexpr size_t kRequestMax = kWritePayloadOffset + kTransferMax;
static_assert(kWritePayloadOffset == 80);

// INIT flags newer than the oldest <linux/fuse.h> we build with (Debian 12: protocol 7.38). 64 bits: flags | flags2 << 32.
inline constexpr uint64_t kDirectIoAllowMmap = 1ULL << 36;
inline constexpr uint64_t kHasResend = 1ULL << 39;

// Of the same age: the notification that asks for it. What is sent again has bit 63 of its unique id set; replies echo it.
inline constexpr int32_t kNotifyResend = 7;

// Added to a request's id, it names the INTERRUPT of that request.
inline constexpr uint64_t kInterruptBit = 1;

// One request, copied out of the message where that is cheap. `name` and `payload` point into the message and
// live as long as it does.
struct Request {
  fuse_in_header header;
  union {
    fuse_init_in init;
    fuse_getattr_in getattr;
    fuse_setattr_in setattr;
    fuse_open_in open;
    fuse_read_in read;
    fuse_write_in write;
    fuse_flush_in flush;
    fuse_fsync_in fsync;
    fuse_release_in release;
    fuse_access_in access;
    fuse_fallocate_in fallocate;
    fuse_lseek_in lseek;
    fuse_copy_file_range_in copy;
    fuse_getxattr_in getxattr;
    fuse_interrupt_in interrupt;
    fuse_forget_in forget;
    fuse_batch_forget_in batch_forget;
    fuse_ioctl_in ioctl;
  };
  std::string_view name;
  const std::byte* payload;
  size_t payload_length;
};

enum class Parsed {
  ok,
  // The header is unusable (too short, or its length disagrees with the message): there is nobody to reply to.
  no_header,
  // The header is sound, the arguments are not: reply EINVAL.
  bad_arguments,
};

// Nothing in `message` is trusted. On ok, the union member of the opcode, the names (without their NUL) and the payload
// are inside the message and consistent with it; opcodes this file does not know come back ok with no arguments.
Parsed parse_request(const std::byte* message, size_t length, Request& request) noexcept;

// FORGET and BATCH_FORGET: the kernel does not wait for an answer and would refuse one.
bool wants_no_reply(uint32_t opcode) noexcept;

// Operations whose outcome must not be found by carrying them out a second time: those that change something, and flushes,
// since one that failed may seem to succeed afterwards.
bool has_effect(uint32_t opcode) noexcept;

}  // namespace galleonfs::fuse
