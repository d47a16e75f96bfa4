// Starts the daemon the way systemd does: descriptors from 3 on, LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES, NOTIFY_SOCKET,
// WATCHDOG_PID and WATCHDOG_USEC in its environment.
//
// While it holds up programs that wait for the descriptors it is given, it runs with a higher priority where that is permitted:
// loading it is all processor time, and the programs that compete for it wait for it.
//
// It gets a process group of its own. A terminal's Ctrl-C reaches the supervisor alone, which passes it on: once.
#pragma once
#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "descriptor_store.h"
#include "restart_policy.h"

namespace galleonfs::supervisor {

inline constexpr int kFirstPassedDescriptor = 3;

struct Launch {
  // Program and arguments, as execvp() takes them.
  std::vector<std::string> command;
  std::string notify_address;
  // 0: no watchdog.
  uint64_t watchdog_usec = 0;
};

class SupervisedProcess {
 public:
  // 0, or the errno value for which the program could not be started. Nothing must be running.
  int start(const Launch& launch, const std::vector<HeldDescriptor>& held);

  // 0: none is running.
  pid_t pid() const { return pid_; }
  void signal(int number) const;

  // It serves: it needs no priority any more.
  void calm() const;

  // Its end, once it is dead with all its threads, and its descriptors are closed.
  std::optional<ProcessEnd> reap();

 private:
  pid_t pid_ = 0;
};

}  // namespace galleonfs::supervisor
