#include "page_invalidation.h"

#include <linux/fuse.h>
#include <poll.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <mutex>
#include <vector>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

namespace galleonfs::fuse {
namespace {

constexpr int kWaitMs = 200;

struct Message {
  fuse_out_header header;
  fuse_notify_inval_inode_out body;
};

// A copy of this process that keeps nothing open but `fd`: a lock held on in it would keep a successor out. Nothing but system
// calls, since other threads may hold any lock at this moment. Its pidfd; -1: none could be had.
int send_from_another_process(int fd, const Message& message) noexcept {
  int pidfd = -1;
  long pid = syscall(SYS_clone, CLONE_PIDFD, nullptr, &pidfd, nullptr, nullptr);  // no signal when it ends
  if (pid != 0) return pid < 0 ? -1 : pidfd;
  const unsigned kept = static_cast<unsigned>(fd);
  if (kept > 0) syscall(SYS_close_range, 0u, kept - 1, 0u);
  syscall(SYS_close_range, kept + 1, ~0u, 0u);
  // ENOENT: the kernel does not know the inode, so there is nothing to forget.
  syscall(SYS_write, fd, &message, sizeof message);
  syscall(SYS_exit_group, 0);
  __builtin_unreachable();
}

bool reap(int pidfd, int options) noexcept {
  siginfo_t info{};
  int result;
  do {
    result = waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(pidfd), &info, WEXITED | __WALL | options);
  } while (result != 0 && errno == EINTR);
  if (result == 0 && info.si_pid == 0) return false;
  close(pidfd);
  return true;
}

// Those that took longer, to be reaped when the next one is made.
std::mutex mutex;
auto& unfinished() {
  static auto& pidfds = *new std::vector<int>;  // under mutex; threads may use it at exit(3)
  return pidfds;
}

}  // namespace

int invalidate_pages(int fd, uint64_t node, uint64_t from) noexcept {
  Message message{};
  message.header.len = sizeof message;
  message.header.error = FUSE_NOTIFY_INVAL_INODE;
  message.body.ino = node;
  message.body.off = static_cast<int64_t>(from);
  int pidfd = send_from_another_process(fd, message);
  if (pidfd < 0) return errno;
  pollfd ended{pidfd, POLLIN, 0};
  int n;
  do {
    n = poll(&ended, 1, kWaitMs);
  } while (n < 0 && errno == EINTR);
  if (n > 0) {
    reap(pidfd, 0);
    return 0;
  }
  std::lock_guard lock(mutex);
  std::erase_if(unfinished(), [](int other) { return reap(other, WNOHANG); });
  unfinished().push_back(pidfd);
  return 0;
}

}  // namespace galleonfs::fuse
