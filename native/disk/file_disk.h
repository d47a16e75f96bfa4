// A directory of the host's file system as a Disk.
#pragma once
#include "disk.h"

namespace galleonfs::disk {

// Opens an existing directory; 0 or a positive errno value.
int open_directory(const std::string& path, std::unique_ptr<Disk>* disk) noexcept;

}  // namespace galleonfs::disk
