// Takes the payload pages of a serving process's request slots out of memory and holds every access that would bring a page back, as a slow swap
// device would: for showing what becomes of a request whose copy faults while SIGKILL is pending.
#pragma once
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstring>
#include <thread>

namespace galleonfs::check {

class PageDropper {
 public:
  // `held` counts the faults that were seen; none is ever let go on.
  explicit PageDropper(std::atomic<int>& held) : held_(held) {}
  ~PageDropper() {
    if (fd_ >= 0) close(fd_);
    if (watcher_.joinable()) watcher_.join();
  }

  static bool possible() {
    int fd = static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC));
    if (fd < 0) return false;
    close(fd);
    return true;
  }

  bool drop() {
    fd_ = static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC));
    uffdio_api api{};
    api.api = UFFD_API;
    if (fd_ < 0 || ioctl(fd_, UFFDIO_API, &api) != 0) return false;
    std::FILE* maps = std::fopen("/proc/self/maps", "re");
    if (maps == nullptr) return false;
    char line[512];
    bool any = false;
    while (std::fgets(line, sizeof line, maps) != nullptr) {
      unsigned long begin, end;
      if (std::strstr(line, "galleonfs-slots") == nullptr || std::sscanf(line, "%lx-%lx", &begin, &end) != 2) continue;
      begin += kPage;  // the page with the message's head stays: the copy begins, and faults at the payload
      munlock(reinterpret_cast<void*>(begin), end - begin);  // MADV_REMOVE refuses locked pages
      uffdio_register range{};
      range.range = {begin, end - begin};
      range.mode = UFFDIO_REGISTER_MODE_MISSING;
      if (ioctl(fd_, UFFDIO_REGISTER, &range) != 0) return false;
      if (madvise(reinterpret_cast<void*>(begin), end - begin, MADV_REMOVE) != 0) return false;
      any = true;
    }
    std::fclose(maps);
    watcher_ = std::thread([this] {
      uffd_msg message;
      while (read(fd_, &message, sizeof message) == sizeof message) held_++;
    });
    return any;
  }

 private:
  static constexpr unsigned long kPage = 4096;

  std::atomic<int>& held_;
  int fd_ = -1;
  std::thread watcher_;
};

}  // namespace galleonfs::check
