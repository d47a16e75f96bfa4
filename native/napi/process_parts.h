// What all stores and mounts of the process share: the page cache, randomness, the descriptor store. Made at first use, never
// taken apart: at exit(3) threads may still run on it.
#pragma once
#include <cstddef>

#include "../fuse/descriptor_store.h"
#include "../fuse/options.h"
#include "../store/store.h"

namespace galleonfs::node {

struct Settings {
  size_t cache_bytes = size_t{256} << 20;
  unsigned fuse_threads_max = 0;  // 0: one a core
  fuse::InFlight in_flight = fuse::InFlight::automatic;
};

// False: too late, the parts are in use already.
bool configure(const Settings& settings);
const Settings& settings();

const store::Environment& store_environment();

// What NOTIFY_SOCKET names.
fuse::DescriptorStore& descriptor_store();

}  // namespace galleonfs::node
