// What INIT settled between this daemon and the kernel. INIT is sent once in the life of a mount, so these values travel
// with the descriptors when a mount is handed to another process.
#pragma once
#include <cstdint>

#include "options.h"
#include "protocol.h"

namespace galleonfs::fuse {

// Plain integers: may be stored as bytes. A value of a future version only appends.
struct Negotiated {
  uint32_t version = 1;
  uint32_t minor = 0;          // protocol 7.minor in force
  uint64_t offered_flags = 0;  // all the kernel said it can do, also what we did not take (kHasResend)
  uint64_t flags = 0;          // in force
  uint32_t max_write_bytes = 0;
  uint32_t max_readahead_bytes = 0;

  bool allows_direct_mmap() const noexcept { return (flags & kDirectIoAllowMmap) != 0; }
};

// Fills both from the kernel's INIT. Returns 0; EPROTO: the kernel is older than protocol 7.31 (Linux 5.4), or speaks
// another major version.
int negotiate(const fuse_init_in& in, const MountOptions& options, Negotiated& negotiated, fuse_init_out& out) noexcept;

}  // namespace galleonfs::fuse
