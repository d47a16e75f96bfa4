// memcpy into a mapping of a file, where the disk may fail: a page that cannot be read, or a file system that shut down,
// raises SIGBUS, which becomes EIO here instead of the end of the process.
#pragma once
#include <cstddef>

namespace galleonfs::disk {

// 0 or EIO. `into` is in a MAP_SHARED mapping, `from` in ordinary memory.
int guarded_copy(void* into, const void* from, size_t length) noexcept;

}  // namespace galleonfs::disk
