// Decides what follows the end of the daemon. Pure: time is passed in.
//
// Invariants:
// - Exit code 0 is a stop, whatever came before. So is any end after a stop was asked for or announced (STOPPING=1).
// - A first start that fails with an exit code before it was ready ends with that code, as it would without a
//   supervisor: what is wrong (a setting, a port) does not heal by trying again, and no mount depends on it yet.
// - After that, only starts that fail before they are ready count as failures, and as many in a row as allowed end it.
//   A daemon that was ready is started again however often it dies: mounts depend on it.
#pragma once
#include <cstdint>

namespace galleonfs::supervisor {

// "Start me again": an upgrade.
inline constexpr int kRestartExitCode = 85;

// How a process ended: with an exit code, or by a signal.
struct ProcessEnd {
  bool by_signal = false;
  int number = 0;

  // What a shell makes of it.
  int exit_code() const { return by_signal ? 128 + number : number; }
};

struct RestartLimits {
  unsigned failures_max = 10;
  uint64_t pause_ms_first = 100;
  uint64_t pause_ms_max = 2000;
  // A program that never speaks the protocol counts as ready when it has run so long.
  uint64_t silent_ready_ms = 5000;
  // More than `brief_lives_max` deaths in a row, each so soon after being ready, are slowed down as failed starts are.
  uint64_t brief_life_ms = 1000;
  unsigned brief_lives_max = 10;
};

struct Verdict {
  enum class Action { restart, stop, give_up };
  Action action = Action::stop;
  // Or took to be, of one that says nothing.
  bool was_ready = false;
  uint64_t pause_ms = 0;
  int exit_code = 0;
  unsigned failures = 0;
};

class RestartPolicy {
 public:
  explicit RestartPolicy(const RestartLimits& limits) : limits_(limits) {}

  void started(uint64_t now_ms);
  // Any message of the protocol.
  void spoke() { spoke_ = true; }
  void ready(uint64_t now_ms);
  void stopping() { stopping_ = true; }
  void stop_asked() { stop_asked_ = true; }

  bool is_ready() const { return ready_; }
  bool is_stop_expected() const { return stop_asked_ || stopping_; }

  Verdict ended(ProcessEnd end, uint64_t now_ms);

 private:
  Verdict after_being_ready(uint64_t lived_ms, bool wanted);
  uint64_t pause_ms(unsigned step) const;

  const RestartLimits limits_;
  bool first_ = true;
  bool stop_asked_ = false;
  unsigned failures_ = 0;
  unsigned brief_lives_ = 0;
  // Of the present process:
  bool spoke_ = false;
  bool ready_ = false;
  bool stopping_ = false;
  uint64_t started_ms_ = 0;
  uint64_t ready_ms_ = 0;
};

}  // namespace galleonfs::supervisor
