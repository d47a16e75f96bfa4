// The memory one serving thread reads requests into and builds replies in.
//
// Resident from the start: a read(2) or write(2) on /dev/fuse whose copy faults while SIGKILL is pending ends the
// request with EIO, which a program on the mount would see. So the pages are prefaulted anonymous memory, locked where
// that is permitted, and never a mapping of a file.
//
//   request:  | 4096-80 unused | 80 header + write_in | 1 MiB payload, page-aligned | 4096 spare |
//   reply:    | 4096-16 unused | 16 out_header        | 1 MiB body, page-aligned    |
#pragma once
#include <cstddef>

#include "protocol.h"

namespace galleonfs::fuse {

class RequestBuffers {
 public:
  RequestBuffers() noexcept;
  ~RequestBuffers();
  RequestBuffers(const RequestBuffers&) = delete;
  RequestBuffers& operator=(const RequestBuffers&) = delete;

  // False: the memory could not be had; nothing else may be called.
  bool ok() const noexcept { return base_ != nullptr; }

  std::byte* request() const noexcept { return base_ + kPageBytes - kWritePayloadOffset; }
  static constexpr size_t request_capacity() noexcept { return kRequestMax + kPageBytes; }

  fuse_out_header* reply_header() const noexcept { return reinterpret_cast<fuse_out_header*>(reply_body() - sizeof(fuse_out_header)); }
  std::byte* reply_body() const noexcept { return base_ + kReplyBody; }
  static constexpr size_t reply_capacity() noexcept { return kTransferMax; }

 private:
  static constexpr size_t kReplyBody = kPageBytes + kTransferMax + kPageBytes + kPageBytes;
  static constexpr size_t kBytes = kReplyBody + kTransferMax;

  std::byte* base_;
};

}  // namespace galleonfs::fuse
