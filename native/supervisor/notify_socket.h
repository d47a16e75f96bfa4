// The socket that the daemon's notifications come to.
//
// Its name is abstract: nothing is left behind in a file system however this process ends. Such a name is visible to
// every user, so a message counts only with the daemon's own process id, which the kernel attaches.
#pragma once
#include <sys/types.h>

#include <string>
#include <vector>

#include "descriptor.h"

namespace galleonfs::supervisor {

inline constexpr const char* kAddressPrefix = "@galleonfs-supervisor/";

struct Datagram {
  std::string text;
  pid_t sender = 0;
  // Longer than a message may be, or some of its descriptors did not fit.
  bool truncated = false;
  std::vector<Descriptor> descriptors;
};

class NotifySocket {
 public:
  // 0 or an errno value.
  int open();

  // As NOTIFY_SOCKET has it.
  const std::string& address() const { return address_; }
  int number() const { return socket_.number(); }

  // False when nothing is waiting.
  bool receive(Datagram& datagram);

 private:
  Descriptor socket_;
  std::string address_;
};

}  // namespace galleonfs::supervisor
