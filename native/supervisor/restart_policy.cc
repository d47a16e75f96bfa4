#include "restart_policy.h"

#include <algorithm>
#include <utility>

namespace galleonfs::supervisor {

void RestartPolicy::started(uint64_t now_ms) {
  spoke_ = false;
  ready_ = false;
  stopping_ = false;
  started_ms_ = now_ms;
}

void RestartPolicy::ready(uint64_t now_ms) {
  if (ready_) return;
  ready_ = true;
  ready_ms_ = now_ms;
}

Verdict RestartPolicy::ended(ProcessEnd end, uint64_t now_ms) {
  const bool wanted = !end.by_signal && end.number == kRestartExitCode;
  const bool first = std::exchange(first_, false);
  const Verdict stop{.action = Verdict::Action::stop, .exit_code = end.exit_code()};
  if (end.exit_code() == 0 || stop_asked_ || (stopping_ && !wanted)) return stop;
  if (!ready_ && !spoke_ && now_ms - started_ms_ >= limits_.silent_ready_ms) {
    return after_being_ready(now_ms - started_ms_, wanted);
  }
  if (ready_) return after_being_ready(now_ms - ready_ms_, wanted);
  if (first && !end.by_signal && !wanted) return stop;
  failures_++;
  if (failures_ >= limits_.failures_max) {
    return {.action = Verdict::Action::give_up, .exit_code = end.exit_code(), .failures = failures_};
  }
  return {.action = Verdict::Action::restart, .pause_ms = pause_ms(failures_ - 1), .failures = failures_};
}

Verdict RestartPolicy::after_being_ready(uint64_t lived_ms, bool wanted) {
  failures_ = 0;
  brief_lives_ = lived_ms < limits_.brief_life_ms && !wanted ? brief_lives_ + 1 : 0;
  const unsigned step = brief_lives_ > limits_.brief_lives_max ? brief_lives_ - limits_.brief_lives_max : 0;
  return {.action = Verdict::Action::restart, .was_ready = true, .pause_ms = pause_ms(step)};
}

// None at first, then doubling up to the longest.
uint64_t RestartPolicy::pause_ms(unsigned step) const {
  if (step == 0) return 0;
  uint64_t pause = limits_.pause_ms_first;
  for (unsigned i = 1; i < step && pause < limits_.pause_ms_max; i++) pause *= 2;
  return std::min(pause, limits_.pause_ms_max);
}

}  // namespace galleonfs::supervisor
