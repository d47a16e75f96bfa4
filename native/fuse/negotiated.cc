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

constexpr uint32_t kTextVersion = 1;
constexpr size_t kTextDigits = 64;

void put(std::string& text, uint64_t value, int bytes) {
  for (int i = 0; i < bytes * 2; i++) {
    // Bytes from the low end, each with its high digit first.
    text += "0123456789abcdef"[value >> (i / 2 * 8 + (i % 2 == 0 ? 4 : 0)) & 15];
  }
}

// Digits from the front; false when they are none.
bool take(std::string_view& text, int bytes, uint64_t& value) noexcept {
  value = 0;
  for (int i = 0; i < bytes * 2; i++) {
    char c = text[static_cast<size_t>(i)];
    int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (digit < 0) return false;
    value |= static_cast<uint64_t>(digit) << (i / 2 * 8 + (i % 2 == 0 ? 4 : 0));
  }
  text.remove_prefix(static_cast<size_t>(bytes) * 2);
  return true;
}

}  // namespace

std::string to_text(const Negotiated& negotiated) {
  std::string text;
  put(text, kTextVersion, 4);
  put(text, negotiated.minor, 4);
  put(text, negotiated.offered_flags, 8);
  put(text, negotiated.flags, 8);
  put(text, negotiated.max_write_bytes, 4);
  put(text, negotiated.max_readahead_bytes, 4);
  return text;
}

std::optional<Negotiated> negotiated_from_text(std::string_view text) noexcept {
  uint64_t version, minor, offered, flags, write, readahead;
  if (text.size() < kTextDigits || !take(text, 4, version) || version < kTextVersion || !take(text, 4, minor) ||
      !take(text, 8, offered) || !take(text, 8, flags) || !take(text, 4, write) || !take(text, 4, readahead)) {
    return std::nullopt;
  }
  return Negotiated{static_cast<uint32_t>(minor), offered, flags, static_cast<uint32_t>(write), static_cast<uint32_t>(readahead)};
}

int negotiate(const fuse_init_in& in, const MountOptions& options, Negotiated& negotiated, fuse_init_out& out) noexcept {
  if (in.major != FUSE_KERNEL_VERSION || in.minor < kOldestMinor) return EPROTO;
  uint64_t offered = in.flags;
  if (in.flags & FUSE_INIT_EXT) offered |= static_cast<uint64_t>(in.flags2) << 32;

  negotiated.minor = in.minor < kOurMinor ? in.minor : kOurMinor;
  negotiated.offered_flags = offered;
  negotiated.flags = offered & kWanted;
  if (options.in_flight == InFlight::automatic) negotiated.flags |= offered & kHasResend;
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
