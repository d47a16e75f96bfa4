// Keeps a program running, and the descriptors it deposits.
//
// Invariants:
// - One thread, one program at a time; the next starts only after the last one has been reaped.
// - Notifications that wait in the socket are dealt with before a death is judged: a deposit may be among them.
// - It opens, stats and maps nothing but the program's file: no file system of the program can hold it up.
#pragma once
#include <signal.h>

#include <string>

#include "descriptor_store.h"
#include "event_log.h"
#include "notify_message.h"
#include "notify_socket.h"
#include "options.h"
#include "restart_policy.h"
#include "supervised_process.h"
#include "watchdog.h"

namespace galleonfs::supervisor {

class Supervisor {
 public:
  // `signals` are blocked by the caller, and come through `signal_descriptor` (signalfd).
  Supervisor(const Options& options, const EventLog& log, Descriptor signal_descriptor);

  // Returns the exit code when it is over.
  int run();

 private:
  void start();
  void wait();
  void take_signals();
  void take_signal(int number, pid_t sender);
  void take_notifications();
  void take(Datagram& datagram);
  void obey(const NotifyMessage& message, Datagram& datagram);
  void store(const NotifyMessage& message, Datagram& datagram);
  void became_ready();
  void judge(ProcessEnd end);
  void check_watchdog();
  void sweep();
  void finish(int exit_code);
  void warn_once(bool& said, const std::string& text);
  std::optional<uint64_t> next_deadline_ms() const;

  const EventLog& log_;
  Descriptor signals_;
  NotifySocket socket_;
  DescriptorStore store_;
  RestartPolicy policy_;
  Watchdog watchdog_;
  SupervisedProcess process_;
  // Stays after its end: what it said last is still in the socket then.
  pid_t program_ = 0;
  Launch launch_;
  unsigned starts_ = 0;
  uint64_t started_ms_ = 0;
  uint64_t sweep_ms_ = 0;
  std::optional<uint64_t> start_due_ms_;
  // When the program that is being replaced ended.
  std::optional<uint64_t> ended_ms_;
  int last_exit_code_ = 0;
  std::optional<int> exit_code_;
  // Said about the present process: once is enough.
  struct {
    bool stranger = false, malformed = false, full = false, name = false;
  } said_;
};

}  // namespace galleonfs::supervisor
