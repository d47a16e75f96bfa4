// Making the kernel drop pages of a file that it keeps although their content is gone.
//
// The notification for it waits for dirty pages (of shared mappings) that are being written back through the mount: served
// by this process, and held up until the truncation they belong to is answered. A thread of ours in that wait could not be
// killed, and its process would never end. So the notification is sent by a process of its own, which nobody waits for longer
// than a moment.
#pragma once
#include <cstdint>

namespace galleonfs::fuse {

// Drops the pages of `node` from `from` on, through the connection `fd`. Returns 0 when they are gone, or after a moment when
// some are still being written back, and go after that; an errno when no process could be had.
int invalidate_pages(int fd, uint64_t node, uint64_t from) noexcept;

}  // namespace galleonfs::fuse
