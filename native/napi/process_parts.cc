#include "process_parts.h"

#include <sys/random.h>

#include <cerrno>
#include <cstdlib>
#include <mutex>

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

store::Environment* make_environment() {
  auto* cache = new auto(store::make_page_cache(settings().cache_bytes));
  return new store::Environment{cache->get(), random_bytes};
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
