// What INIT settled between this daemon and the kernel. INIT is sent once in the life of a mount, so these values travel
// with the descriptors when a mount is handed to another process.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "options.h"
#include "protocol.h"

namespace galleonfs::fuse {

struct Negotiated {
  uint32_t minor = 0;          // protocol 7.minor in force
  uint64_t offered_flags = 0;  // all the kernel said it can do, also what we did not take
  uint64_t flags = 0;          // in force
  uint32_t max_write_bytes = 0;
  uint32_t max_readahead_bytes = 0;

  bool allows_direct_mmap() const noexcept { return (flags & kDirectIoAllowMmap) != 0; }
  // The kernel will send again what was read and not answered, when asked to.
  bool resends() const noexcept { return (flags & kHasResend) != 0; }

  bool operator==(const Negotiated&) const = default;
};

// As text that outlives versions: hex digits, little endian. A later version only appends.
//
//   offset  bytes  field
//        0      4  version 1
//        4      4  minor
//        8      8  offered_flags
//       16      8  flags
//       24      4  max_write_bytes
//       28      4  max_readahead_bytes
std::string to_text(const Negotiated& negotiated);
std::optional<Negotiated> negotiated_from_text(std::string_view text) noexcept;

// Fills both from the kernel's INIT. Returns 0; EPROTO: the kernel is older than protocol 7.31 (Linux 5.4), or speaks
// another major version.
int negotiate(const fuse_init_in& in, const MountOptions& options, Negotiated& negotiated, fuse_init_out& out) noexcept;

}  // namespace galleonfs::fuse
