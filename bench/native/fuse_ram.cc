// What the FUSE front end costs by itself: a volume in RAM behind the real server. Compare with the ceiling that a server
// without any work per request reaches on the same machine.
// usage: fuse_ram <dir> [SIZE_MIB]   env: THREADS (16), CLONES (2), CACHED (0); ends when unmounted
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>

#include "fuse/server.h"
#include "ram_device.h"

namespace {

size_t from_env(const char* name, size_t otherwise) {
  const char* value = getenv(name);
  return value ? static_cast<size_t>(atol(value)) : otherwise;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace galleonfs;
  if (argc < 2) return fprintf(stderr, "usage: %s <dir> [SIZE_MIB]\n", argv[0]), 2;
  check::RamDevice device(static_cast<uint64_t>(argc > 2 ? atoi(argv[2]) : 1024) << 20, false);
  std::atomic<bool> ended{false};
  fuse::ServerOptions server_options;
  server_options.threads_max = from_env("THREADS", 16);
  server_options.clones_max = from_env("CLONES", 2);
  server_options.on_session_ended = [&](fuse::Session&) { ended = true; };
  fuse::Server server(server_options);
  fuse::MountOptions options;
  options.mount_point = argv[1];
  options.cache = from_env("CACHED", 0) ? fuse::CacheMode::cached : fuse::CacheMode::direct;
  options.allow_other = true;
  options.readme = "A benchmark.\n";
  fuse::Error error;
  auto session = server.mount(device, options, error);
  if (!session) return fprintf(stderr, "%s: %s\n", error.code, error.detail.c_str()), 1;
  while (!ended) usleep(50'000);
  fprintf(stderr, "threads at the end: %zu\n", server.thread_count());
  return 0;
}
