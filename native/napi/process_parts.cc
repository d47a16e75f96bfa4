#include "process_parts.h"

#include <sys/random.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <mutex>

#include "store/budget.h"

namespace galleonfs::node {
namespace {

std::mutex mutex;
Settings chosen;      // guarded by mutex until `parts` is set, constant after
bool in_use = false;  // guarded by mutex

void random_bytes(void* into, size_t length) {
  auto* next = static_cast<char*>(into);
  while (length > 0) {
    ssize_t got = getrandom(next, length, 0);
    if (got < 0 && errno != EINTR) std::abort();  // a kernel without getrandom: no salt may be guessable
    if (got < 0) continue;
    next += got;
    length -= static_cast<size_t>(got);
  }
}

// As many descriptors as we may have: each volume needs a handful, and cached ones save opening.
uint64_t raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
  limit.rlim_cur = limit.rlim_max;
  (void)setrlimit(RLIMIT_NOFILE, &limit);
  return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 1024;
}

store::Environment* make_environment() {
  auto* cache = new auto(store::make_page_cache(settings().cache_bytes));
  auto* budget = new store::Budget({.open_files = std::clamp<uint64_t>(raise_descriptor_limit() / 4, 64, 8192)});
  return new store::Environment{.cache = cache->get(), .random = random_bytes, .budget = budget};
}

}  // namespace

bool configure(const Settings& settings) {
  std::lock_guard lock(mutex);
  if (in_use) return false;
  chosen = settings;
  return true;
}

const Settings& settings() {
  std::lock_guard lock(mutex);
  in_use = true;
  return chosen;
}

const store::Environment& store_environment() {
  static const store::Environment* environment = make_environment();
  return *environment;
}

fuse::DescriptorStore& descriptor_store() {
  static auto& store = *[] {
    const char* address = std::getenv("NOTIFY_SOCKET");
    return new fuse::DescriptorStore(address == nullptr ? "" : address);
  }();
  return store;
}

}  // namespace galleonfs::node
