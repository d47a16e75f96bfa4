// Mounting without privileges through the setuid program fusermount3: it opens /dev/fuse, mounts, and passes the
// descriptor back over a socket whose number is in _FUSE_COMMFD.
#pragma once
#include <string>

#include "options.h"

namespace galleonfs::fuse {

// `options` is its -o argument. On success `fd` is the connection, close-on-exec and non-blocking.
Error fusermount_mount(const std::string& mount_point, const std::string& options, int& fd);
Error fusermount_unmount(const std::string& mount_point, bool lazy);

}  // namespace galleonfs::fuse
