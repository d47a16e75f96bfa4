// A volume mounted from a RAM device for one test. The server runs in a process of its own, so that the test's process,
// which does the I/O, never waits for its own threads (a close at exit would flush through itself and never end).
// Whatever happens to the test, that process sees its pipe close and unmounts lazily.
#pragma once
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "check.h"
#include "fuse/mount_table.h"
#include "fuse/server.h"
#include "ram_device.h"

namespace galleonfs::check {

inline bool can_mount() {
  if (geteuid() != 0 || access("/dev/fuse", R_OK | W_OK) != 0) return false;
  return true;
}

// A new empty directory, removed (never recursively: a mount may be on it) at the end.
struct TempDir {
  std::string path;
  TempDir() {
    char name[] = "/tmp/galleonfs-fuse-XXXXXX";
    if (!mkdtemp(name)) abort();
    path = name;
  }
  ~TempDir() { rmdir(path.c_str()); }
};

class MountedVolume {
 public:
  static constexpr uint64_t kSize = 64ull << 20;

  struct Shared {
    std::atomic<int> ended;    // sessions whose end was reported
    std::atomic<int> errno_value;
    std::atomic<uint64_t> threads;
    std::atomic<uint64_t> reads, writes, others, errors, bytes_written, in_flight;
  };

  using Adjust = std::function<void(fuse::MountOptions&)>;

  explicit MountedVolume(Adjust adjust = {}, uint64_t size = kSize, size_t threads_max = 16)
      : device(size) {
    shared = static_cast<Shared*>(mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    if (pipe(commands_) != 0 || pipe(answers_) != 0) abort();
    options.mount_point = dir.path;
    options.readme = "Read me.\n";
    options.metadata = "{}\n";
    if (adjust) adjust(options);
    fflush(nullptr);
    server_ = fork();
    if (server_ == 0) {
      ::close(commands_[1]);
      ::close(answers_[0]);
      alarm(0);
      serve(threads_max);
    }
    ::close(commands_[0]);
    ::close(answers_[1]);
    CHECK_EQ(answer(), 'm');
  }

  // Stops the server; its exit status carries the sanitizers' verdict.
  ~MountedVolume() {
    ::close(commands_[1]);
    int status = 0;
    while (waitpid(server_, &status, 0) < 0) {
    }
    ::close(answers_[0]);
    munmap(shared, sizeof(Shared));
    CHECK(WIFEXITED(status));
    CHECK_EQ(WEXITSTATUS(status), 0);
    CHECK(!fuse::find_mount(dir.path));
  }

  std::string path(const char* name = "data") const { return dir.path + "/" + name; }

  int open(int flags = O_RDWR, const char* name = "data") const { return ::open(path(name).c_str(), flags | O_CLOEXEC); }

  // r: replace both texts; u: unmount; c: refresh the counters in `shared`. Returns 'k' or 'e' with shared->errno_value.
  char command(char c) {
    CHECK_EQ(::write(commands_[1], &c, 1), 1);
    return answer();
  }

  TempDir dir;
  RamDevice device;
  Shared* shared;
  fuse::MountOptions options;

 private:
  char answer() {
    char c = 0;
    CHECK_EQ(::read(answers_[0], &c, 1), 1);
    return c;
  }

  void say(char c) { (void)!::write(answers_[1], &c, 1); }

  void count(const fuse::Server& server, const fuse::Session& session) {
    fuse::CounterValues v = session.counters();
    shared->threads = server.thread_count();
    shared->reads = v.requests[static_cast<size_t>(fuse::OpGroup::read)];
    shared->writes = v.requests[static_cast<size_t>(fuse::OpGroup::write)];
    shared->others = v.requests[static_cast<size_t>(fuse::OpGroup::other)];
    // Of the groups that must not fail; a GETXATTR of what is not there is no error.
    shared->errors = 0;
    for (auto g : {fuse::OpGroup::read, fuse::OpGroup::write, fuse::OpGroup::flush}) shared->errors += v.errors[static_cast<size_t>(g)];
    shared->bytes_written = v.bytes_written;
    shared->in_flight = v.in_flight;
  }

  [[noreturn]] void serve(size_t threads_max) {
    int status = 0;
    {
      fuse::ServerOptions server_options;
      server_options.threads_max = threads_max;
      server_options.on_session_ended = [this](fuse::Session&) { shared->ended++; };
      fuse::Server server(server_options);
      fuse::Error error;
      auto session = server.mount(device, options, error);
      if (!session) {
        std::fprintf(stderr, "%s: %s\n", error.code, error.detail.c_str());
        _exit(1);
      }
      say('m');
      char c;
      while (::read(commands_[0], &c, 1) == 1) {
        char result = 'k';
        if (c == 'r') {
          session->set_readme("Another text, a longer one.\n");
          session->set_metadata("{\"a\":1}\n");
        } else if (c == 'c') {
          count(server, *session);
        } else if (c == 'u') {
          if (fuse::Error e = server.unmount(session, false)) {
            shared->errno_value = e.errno_value;
            result = 'e';
          }
        }
        say(result);
      }
      server.stop(fuse::StopMode::unmount);
      fuse::CounterValues v = session->counters();
      if (v.in_flight != 0) status = 3;
    }
    std::exit(status);  // runs the leak checker
  }

  int commands_[2];
  int answers_[2];
  pid_t server_;
};

// Runs `what` in a process of its own; its exit code.
inline int in_process(const std::function<void()>& what) {
  fflush(nullptr);
  pid_t child = fork();
  if (child == 0) {
    what();
    _exit(0);
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

inline int shell(const std::string& command) {
  int status = std::system(command.c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

#define MOUNT_TEST(name)                                                                     \
  static void CHECK_JOIN(mount_test_, __LINE__)();                                           \
  static const ::galleonfs::check::Registration CHECK_JOIN(mount_registration_, __LINE__)(   \
      name, +[] {                                                                            \
        if (!::galleonfs::check::can_mount()) {                                              \
          std::printf("skipped (needs root and /dev/fuse): %s\n", name);                     \
          return;                                                                            \
        }                                                                                    \
        CHECK_JOIN(mount_test_, __LINE__)();                                                 \
      });                                                                                    \
  static void CHECK_JOIN(mount_test_, __LINE__)()

}  // namespace galleonfs::check
