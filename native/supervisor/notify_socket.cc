#include "notify_socket.h"

#include <stddef.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

#include "notify_message.h"

namespace galleonfs::supervisor {
namespace {

// SCM_MAX_FD of the kernel.
constexpr size_t kDescriptorsMax = 253;
constexpr int kReceiveBufferBytes = 1024 * 1024;

std::string random_address() {
  unsigned char bytes[16];
  // Cannot be cut short below 256 bytes.
  if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes) return {};
  std::string address = kAddressPrefix;
  for (unsigned char byte : bytes) {
    address += "0123456789abcdef"[byte >> 4];
    address += "0123456789abcdef"[byte & 15];
  }
  return address;
}

void take_control_data(msghdr& message, Datagram& datagram) {
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_SOCKET) continue;
    const size_t bytes = c->cmsg_len - CMSG_LEN(0);
    if (c->cmsg_type == SCM_RIGHTS) {
      for (size_t at = 0; at + sizeof(int) <= bytes; at += sizeof(int)) {
        int number;
        memcpy(&number, CMSG_DATA(c) + at, sizeof number);
        datagram.descriptors.emplace_back(number);
      }
    } else if (c->cmsg_type == SCM_CREDENTIALS && bytes >= sizeof(ucred)) {
      ucred credentials;
      memcpy(&credentials, CMSG_DATA(c), sizeof credentials);
      datagram.sender = credentials.pid;
    }
  }
}

}  // namespace

int NotifySocket::open() {
  Descriptor made(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (made.number() < 0) return errno;
  const std::string address = random_address();
  if (address.empty()) return EIO;
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  memcpy(name.sun_path, address.data(), address.size());
  name.sun_path[0] = '\0';
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address.size());
  if (bind(made.number(), reinterpret_cast<sockaddr*>(&name), length) != 0) return errno;
  const int on = 1;
  if (setsockopt(made.number(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0) return errno;
  setsockopt(made.number(), SOL_SOCKET, SO_RCVBUF, &kReceiveBufferBytes, sizeof kReceiveBufferBytes);
  socket_ = std::move(made);
  address_ = address;
  return 0;
}

bool NotifySocket::receive(Datagram& datagram) {
  char text[kMessageBytesMax];
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kDescriptorsMax) + CMSG_SPACE(sizeof(ucred))];
  iovec vector{text, sizeof text};
  msghdr message{};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t bytes;
  do {
    bytes = recvmsg(socket_.number(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (bytes < 0 && errno == EINTR);
  if (bytes < 0) return false;
  datagram = Datagram{};
  take_control_data(message, datagram);
  datagram.text.assign(text, static_cast<size_t>(bytes));
  datagram.truncated = (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
  return true;
}

}  // namespace galleonfs::supervisor
