#include "negotiated.h"

#include <cerrno>
#include <cstring>

namespace galleonfs::fuse {
namespace {

constexpr uint32_t kOurMinor = 38;
constexpr uint32_t kOldestMinor = 31;
constexpr uint16_t kBackgroundMax = 128;  // asynchronous direct I/O in flight for one mount

// Never here: WRITEBACK_CACHE (would acknowledge before the daemon has the bytes, and let appends grow the file) and
// ATOMIC_O_TRUNC (concurrent reads come back short). HANDLE_KILLPRIV_V2 costs us nothing, as no file has setuid bits,
// and spares a GETXATTR of security.capability before every cached write.
constexpr uint64_t kWanted = FUSE_ASYNC_READ | FUSE_BIG_WRITES | FUSE_ASYNC_DIO | FUSE_MAX_PAGES | FUSE_PARALLEL_DIROPS |
                             FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO | FUSE_HANDLE_KILLPRIV_V2 | FUSE_INIT_EXT;

}  // namespace

int negotiate(const fuse_init_in& in, const MountOptions& options, Negotiated& negotiated, fuse_init_out& out) noexcept {
  if (in.major != FUSE_KERNEL_VERSION || in.minor < kOldestMinor) return EPROTO;
  uint64_t offered = in.flags;
  if (in.flags & FUSE_INIT_EXT) offered |= static_cast<uint64_t>(in.flags2) << 32;

  negotiated.minor = in.minor < kOurMinor ? in.minor : kOurMinor;
  negotiated.offered_flags = offered;
  negotiated.flags = offered & kWanted;
  if (options.cache == CacheMode::direct) negotiated.flags |= offered & kDirectIoAllowMmap;
  negotiated.max_write_bytes = kTransferMax;
  negotiated.max_readahead_bytes = in.max_readahead < kTransferMax ? in.max_readahead : kTransferMax;

  std::memset(&out, 0, sizeof out);
  out.major = FUSE_KERNEL_VERSION;
  out.minor = negotiated.minor;
  out.max_readahead = negotiated.max_readahead_bytes;
  out.flags = static_cast<uint32_t>(negotiated.flags);
  out.flags2 = static_cast<uint32_t>(negotiated.flags >> 32);
  out.max_background = kBackgroundMax;
  out.congestion_threshold = kBackgroundMax * 3 / 4;
  out.max_write = negotiated.max_write_bytes;
  out.time_gran = 1;
  out.max_pages = kTransferMax / kPageBytes;
  return 0;
}

}  // namespace galleonfs::fuse
