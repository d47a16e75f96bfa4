// What all stores and mounts of the process share: the page cache, randomness, and later the FUSE threads. Made at first
// use, never taken apart: at exit(3) threads may still run on it.
#pragma once
#include <cstddef>

#include "../store/store.h"

namespace galleonfs::node {

struct Sizes {
  size_t cache_bytes = size_t{256} << 20;
  unsigned fuse_threads_max = 0;  // 0: one a core
};

// False: too late, the parts are in use already.
bool configure(const Sizes& sizes);
const Sizes& sizes();

const store::Environment& store_environment();

}  // namespace galleonfs::node
