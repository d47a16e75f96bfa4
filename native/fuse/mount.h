// Attaching a FUSE connection to a directory and taking it away: mount(2) where permitted, fusermount3 elsewhere. Never
// auto_unmount: a mount outlives the daemon.
#pragma once
#include <string>

#include "options.h"

namespace galleonfs::fuse {

struct Mounted {
  int fd = -1;          // the connection; the caller's to close
  std::string device;   // "major:minor" from mountinfo
  std::string mount_point;  // canonical
};

// Checks the mount point, opens /dev/fuse, mounts. Does not wait for INIT.
Error mount_connection(const MountOptions& options, Mounted& mounted);

// Unmounts what is at `mount_point` if it still is `device` (empty: whatever is there). Nothing there: success.
// FUSE_BUSY when files are open and not `lazy`; lazily, the connection ends when the last of them is closed.
Error unmount_connection(const std::string& mount_point, const std::string& device, bool lazy);

}  // namespace galleonfs::fuse
