// A descriptor store as systemd keeps one for a service: the sd_notify protocol on a unix datagram socket. One thread.
#pragma once
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <string>
#include <vector>

namespace galleonfs::check {

class DescriptorStoreDouble {
 public:
  struct Stored {
    std::string name;
    int fd;
  };

  // `address`: a path, or '@' and an abstract name.
  explicit DescriptorStoreDouble(std::string address) : address_(std::move(address)) {
    socket_ = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_un a{};
    a.sun_family = AF_UNIX;
    memcpy(a.sun_path, address_.data(), address_.size());
    if (a.sun_path[0] == '@') a.sun_path[0] = '\0';
    socklen_t length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address_.size() + (address_[0] == '@' ? 0 : 1));
    if (socket_ < 0 || bind(socket_, reinterpret_cast<sockaddr*>(&a), length) != 0) abort();
  }
  ~DescriptorStoreDouble() {
    close(socket_);
    for (Stored& s : stored) close(s.fd);
    if (address_[0] == '/') unlink(address_.c_str());
  }
  DescriptorStoreDouble(const DescriptorStoreDouble&) = delete;
  DescriptorStoreDouble& operator=(const DescriptorStoreDouble&) = delete;

  const std::string& address() const { return address_; }
  int socket_fd() const { return socket_; }

  // Handles what has arrived. True: there was something.
  bool handle_waiting() {
    bool any = false;
    for (pollfd p{socket_, POLLIN, 0}; poll(&p, 1, 0) == 1;) {
      handle_one();
      any = true;
    }
    return any;
  }
  void handle_one() {
    char text[8192];
    alignas(cmsghdr) char control[CMSG_SPACE(64 * sizeof(int))];
    iovec data{text, sizeof text};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    ssize_t n = recvmsg(socket_, &message, MSG_CMSG_CLOEXEC);
    if (n < 0) return;
    std::vector<int> fds;
    for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
      if (c->cmsg_type != SCM_RIGHTS) continue;
      fds.resize((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
      memcpy(fds.data(), CMSG_DATA(c), fds.size() * sizeof(int));
    }
    take(std::string(text, static_cast<size_t>(n)), fds);
  }

  std::vector<Stored> stored;
  std::atomic<size_t> taken{0};  // descriptors stored so far; for threads beside the one that handles messages
  std::vector<std::string> messages;

  bool has(const std::string& name) const {
    for (const Stored& s : stored) {
      if (s.name == name) return true;
    }
    return false;
  }

 private:
  void take(const std::string& text, const std::vector<int>& fds) {
    messages.push_back(text);
    bool store = false, remove = false, barrier = false;
    std::string name = "stored";  // systemd's name for those without
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      store = store || line == "FDSTORE=1";
      remove = remove || line == "FDSTOREREMOVE=1";
      barrier = barrier || line == "BARRIER=1";
      if (line.rfind("FDNAME=", 0) == 0) name = line.substr(7);
    }
    if (barrier && (text != "BARRIER=1" || fds.size() != 1)) abort();  // sd_notify(3) demands it
    if (remove) {
      std::erase_if(stored, [&](const Stored& s) {
        if (s.name != name) return false;
        close(s.fd);
        return true;
      });
    }
    for (int fd : fds) {
      if (!store) {
        close(fd);
        continue;
      }
      stored.push_back({name, fd});
      taken++;
    }
  }

  const std::string address_;
  int socket_;
};

}  // namespace galleonfs::check
