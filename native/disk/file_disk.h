// A directory of the host's file system as a Disk.
#pragma once
#include "disk.h"

namespace galleonfs::disk {

enum class Access { read_write, read_only };

// Opens an existing directory; 0 or a positive errno value. `read_only`: its files are opened so that nothing can be
// written to them, and none is made or removed (EROFS).
int open_directory(const std::string& path, std::unique_ptr<Disk>* disk, Access access = Access::read_write) noexcept;

}  // namespace galleonfs::disk
