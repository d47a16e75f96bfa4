// Finds a daemon that has stopped saying that it is alive. Pure: time is passed in.
//
// Armed when the daemon is ready, disarmed when it stops or has ended. When the interval passes without a sign the
// process is first asked to abort, and killed `kGraceMs` later.
#pragma once
#include <cstdint>
#include <optional>

namespace galleonfs::supervisor {

class Watchdog {
 public:
  enum class Step { none, abort, kill };
  static constexpr uint64_t kGraceMs = 5000;

  // 0: never.
  explicit Watchdog(uint64_t interval_ms) : configured_ms_(interval_ms), interval_ms_(interval_ms) {}

  uint64_t configured_ms() const { return configured_ms_; }
  uint64_t interval_ms() const { return interval_ms_; }

  // A new process: what the one before asked for is forgotten.
  void reset() {
    interval_ms_ = configured_ms_;
    disarm();
  }

  void arm(uint64_t now_ms) {
    if (interval_ms_ == 0) return;
    armed_ = true;
    deadline_ms_ = now_ms + interval_ms_;
  }

  void disarm() {
    armed_ = false;
    aborted_ = false;
  }

  // A sign of life. One that comes after the abort is too late.
  void alive(uint64_t now_ms) {
    if (armed_ && !aborted_) arm(now_ms);
  }

  void set_interval(uint64_t interval_ms, uint64_t now_ms) {
    if (configured_ms_ == 0 || aborted_) return;
    interval_ms_ = interval_ms;
    if (interval_ms == 0) {
      armed_ = false;
    } else if (armed_) {
      arm(now_ms);
    }
  }

  // As if the interval had passed.
  void trigger(uint64_t now_ms) {
    if (configured_ms_ == 0 || aborted_) return;
    armed_ = true;
    deadline_ms_ = now_ms;
  }

  std::optional<uint64_t> deadline_ms() const { return armed_ ? std::optional(deadline_ms_) : std::nullopt; }

  Step due(uint64_t now_ms) {
    if (!armed_ || now_ms < deadline_ms_) return Step::none;
    if (aborted_) {
      disarm();
      return Step::kill;
    }
    aborted_ = true;
    deadline_ms_ = now_ms + kGraceMs;
    return Step::abort;
  }

 private:
  const uint64_t configured_ms_;
  uint64_t interval_ms_;
  bool armed_ = false;
  bool aborted_ = false;
  uint64_t deadline_ms_ = 0;
};

}  // namespace galleonfs::supervisor
