#include "supervisor.h"

#include <poll.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>

#include <algorithm>
#include <cerrno>

namespace galleonfs::supervisor {
namespace {

// How often descriptors are looked at for those whose other end is gone.
constexpr uint64_t kSweepIntervalMs = 30'000;
// More than the socket ever queues, so that it is empty afterwards; an end even so, should somebody flood it.
constexpr int kNotificationsAtOnce = 65'536;

uint64_t now_ms() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000 + static_cast<uint64_t>(now.tv_nsec) / 1'000'000;
}

std::string signal_name(int number) {
  static constexpr struct {
    int number;
    const char* name;
  } kNames[] = {{SIGHUP, "SIGHUP"},   {SIGINT, "SIGINT"},   {SIGQUIT, "SIGQUIT"}, {SIGILL, "SIGILL"},
                {SIGTRAP, "SIGTRAP"}, {SIGABRT, "SIGABRT"}, {SIGBUS, "SIGBUS"},   {SIGFPE, "SIGFPE"},
                {SIGKILL, "SIGKILL"}, {SIGUSR1, "SIGUSR1"}, {SIGSEGV, "SIGSEGV"}, {SIGUSR2, "SIGUSR2"},
                {SIGPIPE, "SIGPIPE"}, {SIGALRM, "SIGALRM"}, {SIGTERM, "SIGTERM"}, {SIGXCPU, "SIGXCPU"},
                {SIGXFSZ, "SIGXFSZ"}, {SIGSYS, "SIGSYS"}};
  for (const auto& known : kNames) {
    if (known.number == number) return known.name;
  }
  return "signal " + std::to_string(number);
}

int64_t as_field(uint64_t number) { return static_cast<int64_t>(number); }

std::string how_it_ended(ProcessEnd end) {
  return end.by_signal ? "was ended by " + signal_name(end.number) : "ended with exit code " + std::to_string(end.number);
}

}  // namespace

Supervisor::Supervisor(const Options& options, const EventLog& log, Descriptor signal_descriptor)
    : log_(log),
      signals_(std::move(signal_descriptor)),
      store_(options.descriptors_max),
      policy_({.failures_max = options.failures_max}),
      watchdog_(options.watchdog_ms) {
  launch_.command = options.command;
  launch_.watchdog_usec = options.watchdog_ms * 1000;
}

int Supervisor::run() {
  if (const int error = socket_.open(); error != 0) {
    log_.error(std::string("no socket for notifications: ") + strerror(error));
    return 1;
  }
  launch_.notify_address = socket_.address();
  start_due_ms_ = now_ms();
  while (!exit_code_) {
    if (start_due_ms_ && now_ms() >= *start_due_ms_) start();
    if (exit_code_) break;
    wait();
    take_signals();
    // Reaped first, drained second: whatever the dead process said is in the socket by now.
    const auto end = process_.reap();
    take_notifications();
    if (end && !exit_code_) judge(*end);
    check_watchdog();
    sweep();
  }
  return *exit_code_;
}

void Supervisor::start() {
  start_due_ms_.reset();
  store_.drop_dead();
  const uint64_t now = now_ms();
  policy_.started(now);
  watchdog_.reset();
  said_ = {};
  started_ms_ = now;
  starts_++;
  if (const int error = process_.start(launch_, store_.held()); error != 0) {
    log_.error("the daemon cannot be started: " + launch_.command.front() + ": " + strerror(error));
    judge({false, error == ENOENT ? 127 : 126});
    return;
  }
  program_ = process_.pid();
  const auto descriptors = as_field(store_.held().size());
  if (starts_ == 1) {
    log_.debug("the daemon has been started", {{"pid", process_.pid()}});
  } else {
    log_.info("the daemon has been started again",
              {{"pid", process_.pid()}, {"starts", starts_}, {"descriptors", descriptors}});
  }
}

std::optional<uint64_t> Supervisor::next_deadline_ms() const {
  std::optional<uint64_t> next = start_due_ms_;
  const auto earlier = [&](std::optional<uint64_t> other) {
    if (other) next = std::min(next.value_or(*other), *other);
  };
  earlier(watchdog_.deadline_ms());
  if (!store_.held().empty()) earlier(sweep_ms_ + kSweepIntervalMs);
  return next;
}

void Supervisor::wait() {
  int timeout_ms = -1;
  if (const auto deadline = next_deadline_ms()) {
    const uint64_t now = now_ms();
    timeout_ms = *deadline <= now ? 0 : static_cast<int>(std::min<uint64_t>(*deadline - now, 60'000));
  }
  pollfd polled[] = {{signals_.number(), POLLIN, 0}, {socket_.number(), POLLIN, 0}};
  poll(polled, 2, timeout_ms);
}

void Supervisor::take_signals() {
  signalfd_siginfo info;
  while (read(signals_.number(), &info, sizeof info) == sizeof info) {
    take_signal(static_cast<int>(info.ssi_signo), static_cast<pid_t>(info.ssi_pid));
  }
}

void Supervisor::take_signal(int number, pid_t sender) {
  if (number == SIGCHLD) return;
  const bool stops = number == SIGTERM || number == SIGINT || number == SIGQUIT;
  if (stops) {
    policy_.stop_asked();
    watchdog_.disarm();
  }
  if (process_.pid() != 0) {
    log_.info("passing " + signal_name(number) + " on to the daemon", {{"pid", process_.pid()}, {"sender", sender}});
    process_.signal(number);
  } else if (stops || number == SIGHUP) {
    log_.warn("asked to stop by " + signal_name(number) + " while the daemon is not running", {{"sender", sender}});
    finish(last_exit_code_);
  }
}

void Supervisor::take_notifications() {
  Datagram datagram;
  for (int i = 0; i < kNotificationsAtOnce && socket_.receive(datagram); i++) take(datagram);
}

void Supervisor::take(Datagram& datagram) {
  // The descriptors of a datagram that is not obeyed are closed with it.
  if (datagram.sender != program_) {
    warn_once(said_.stranger, "a notification from another process was dropped");
    return;
  }
  const auto message = parse_notify_message(datagram.text);
  if (datagram.truncated || !message) {
    warn_once(said_.malformed, "a malformed notification was dropped");
    return;
  }
  obey(*message, datagram);
}

void Supervisor::obey(const NotifyMessage& message, Datagram& datagram) {
  // Everything before it has been dealt with; closing the descriptor says so.
  if (message.barrier) return;
  policy_.spoke();
  if (message.name_invalid) warn_once(said_.name, "a descriptor name that is not valid was ignored");
  if (message.store_remove) {
    if (message.name) {
      const size_t removed = store_.remove(*message.name);
      log_.debug("descriptors forgotten", {{"name", *message.name}, {"removed", as_field(removed)}});
    }
  } else if (message.store) {
    store(message, datagram);
  }
  if (message.status) log_.debug("the daemon says: " + *message.status);
  if (message.ready) became_ready();
  if (message.stopping) {
    policy_.stopping();
    watchdog_.disarm();
  }
  if (message.watchdog_usec) watchdog_.set_interval(*message.watchdog_usec / 1000, now_ms());
  if (message.watchdog) watchdog_.alive(now_ms());
  if (message.watchdog_trigger) watchdog_.trigger(now_ms());
}

void Supervisor::store(const NotifyMessage& message, Datagram& datagram) {
  const std::string name = message.name.value_or(kDefaultName);
  for (Descriptor& descriptor : datagram.descriptors) {
    switch (store_.add(std::move(descriptor), name, message.poll)) {
      case DescriptorStore::Added::stored:
        log_.debug("a descriptor is held", {{"name", name}, {"descriptors", as_field(store_.held().size())}});
        break;
      case DescriptorStore::Added::duplicate:
        break;
      case DescriptorStore::Added::full:
        if (!said_.full) {
          log_.error("no more descriptors can be held: what is on them will not survive the daemon",
                     {{"name", name}, {"descriptorsMax", as_field(store_.max())}});
        }
        said_.full = true;
        break;
    }
  }
}

void Supervisor::became_ready() {
  if (policy_.is_ready()) return;
  const uint64_t now = now_ms();
  policy_.ready(now);
  process_.calm();
  watchdog_.arm(now);
  if (ended_ms_) {
    log_.info("the daemon is ready again", {{"pid", process_.pid()}, {"pauseMs", as_field(now - *ended_ms_)}});
    ended_ms_.reset();
  } else {
    log_.debug("the daemon is ready", {{"pid", process_.pid()}, {"startMs", as_field(now - started_ms_)}});
  }
}

void Supervisor::judge(ProcessEnd end) {
  const uint64_t now = now_ms();
  watchdog_.reset();
  const bool expected = policy_.is_stop_expected();
  const Verdict verdict = policy_.ended(end, now);
  last_exit_code_ = end.exit_code();
  const std::string text = "the daemon " + how_it_ended(end);
  const auto lived = as_field(now - started_ms_);
  switch (verdict.action) {
    case Verdict::Action::restart:
      if (!ended_ms_) ended_ms_ = now;
      start_due_ms_ = now + verdict.pause_ms;
      if (!end.by_signal && end.number == kRestartExitCode && verdict.was_ready) {
        log_.info("the daemon asks to be started again", {{"ranMs", lived}});
      } else {
        log_.warn(text + (verdict.was_ready ? "; starting it again" : " before it was ready; trying again"),
                  {{"ranMs", lived}, {"pauseMs", as_field(verdict.pause_ms)}, {"failures", verdict.failures}});
      }
      break;
    case Verdict::Action::give_up:
      log_.error(text + " before it was ready, as often as is tolerated: giving up. What was mounted returns errors until "
                        "\"galleonfs unmount\" or the next start",
                 {{"failures", verdict.failures}, {"descriptors", as_field(store_.held().size())}});
      exit_code_ = verdict.exit_code;
      break;
    case Verdict::Action::stop:
      if (end.by_signal && expected) {
        log_.warn(text + " while it was stopping", {{"ranMs", lived}});
      } else {
        log_.debug(text, {{"ranMs", lived}});
      }
      finish(verdict.exit_code);
      break;
  }
}

void Supervisor::finish(int exit_code) {
  exit_code_ = exit_code;
  store_.drop_dead();
  // After a clean stop only memory is left, such as request slots; otherwise mounts may be, which fail from now on.
  const size_t left = store_.held().size();
  if (left > 0 && exit_code != 0) {
    log_.warn("ending with descriptors that no daemon takes back", {{"descriptors", as_field(left)}});
  }
}

void Supervisor::check_watchdog() {
  if (process_.pid() == 0) return;
  switch (watchdog_.due(now_ms())) {
    case Watchdog::Step::none:
      break;
    case Watchdog::Step::abort:
      log_.error("the daemon has given no sign of life: aborting it",
                 {{"pid", process_.pid()}, {"watchdogMs", as_field(watchdog_.interval_ms())}});
      process_.signal(SIGABRT);
      break;
    case Watchdog::Step::kill:
      log_.error("the daemon did not abort: killing it", {{"pid", process_.pid()}});
      process_.signal(SIGKILL);
      break;
  }
}

void Supervisor::sweep() {
  const uint64_t now = now_ms();
  if (now - sweep_ms_ < kSweepIntervalMs) return;
  sweep_ms_ = now;
  if (const size_t dropped = store_.drop_dead(); dropped > 0) {
    log_.debug("descriptors dropped whose other end is gone", {{"dropped", as_field(dropped)}});
  }
}

void Supervisor::warn_once(bool& said, const std::string& text) {
  if (!said) log_.warn(text, {{"pid", program_}});
  said = true;
}

}  // namespace galleonfs::supervisor
