// How one volume is mounted, and what can go wrong doing it.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <string>

namespace galleonfs::fuse {

// What a truncate to n < size does. The size never changes; n > size is EINVAL under every policy.
enum class TruncatePolicy {
  discard,  // [n, size) reads as zeros afterwards (cp of sparse files, dd seek=, rsync --inplace rely on it)
  ignore,   // succeeds and changes nothing
  refuse,   // EPERM
};

enum class CacheMode {
  direct,  // no page cache for read and write, parallel writers; shared mmap still works (Linux 6.6 and up: older
           // kernels would refuse it, so there the mount is `cached`)
  cached,  // the kernel keeps pages; writes still reach the daemon before they return
};

// How requests in flight survive the process that read them; see in_flight.h.
enum class InFlight {
  automatic,  // the kernel sends them again where it can (Linux 6.9 and up), else from the slots
  slots,      // from the slots, whatever the kernel can do
};

enum class MountMethod {
  automatic,   // mount(2) with CAP_SYS_ADMIN, else fusermount3
  kernel,
  fusermount,
};

struct MountOptions {
  std::string mount_point;  // an existing empty directory
  uint64_t key = 0;         // names the mount's descriptors in the descriptor store; 0: they are not deposited
  std::string device_id;    // of a mount that is adopted: "major:minor" in mountinfo
  bool read_only = false;
  bool sync = false;  // every write is durable before it is acknowledged
  bool allow_other = false;
  bool default_permissions = true;  // the kernel checks uid, gid and mode; without it anyone who gets in may do all
  uid_t uid = 0;
  gid_t gid = 0;
  mode_t file_mode = 0600;
  mode_t directory_mode = 0;  // 0: file_mode with execute wherever it has read
  TruncatePolicy truncate = TruncatePolicy::discard;
  CacheMode cache = CacheMode::direct;
  MountMethod method = MountMethod::automatic;
  InFlight in_flight = InFlight::automatic;
  std::string readme;    // README.txt at first; replaceable while mounted
  std::string metadata;  // .galleonfs_metadata at first; replaceable while mounted
};

// Errors of this folder, as values. Codes:
//   FUSE_DEVICE_MISSING      /dev/fuse does not exist or has no driver behind it
//   FUSE_NOT_PERMITTED       neither mount(2) nor fusermount3 is allowed here
//   FUSE_FUSERMOUNT_MISSING  not root, and no fusermount3 in PATH
//   FUSE_MOUNT_POINT         missing, not a directory, or not empty
//   FUSE_ALREADY_MOUNTED     something is mounted there
//   FUSE_MOUNT_FAILED        the kernel or fusermount3 refused for another reason
//   FUSE_BUSY                unmount: files below the mount are open
//   FUSE_UNMOUNT_FAILED
//   FUSE_RESOURCES           descriptors, threads or memory ran out
//   FUSE_STOPPED             the server is stopping
struct Error {
  int errno_value = 0;
  const char* code = "";
  std::string detail;  // one sentence for a person: what, with which value, and what to do

  explicit operator bool() const noexcept { return errno_value != 0; }
};

}  // namespace galleonfs::fuse
