// What follows the end of the daemon, and when the watchdog bites. The clock is a number.
#include "check.h"
#include "supervisor/restart_policy.h"
#include "supervisor/watchdog.h"

#include <signal.h>

using namespace galleonfs::supervisor;

namespace {

using Action = Verdict::Action;

constexpr ProcessEnd kKilled{true, SIGKILL};
constexpr ProcessEnd kUpgrade{false, kRestartExitCode};

ProcessEnd exited(int code) { return {false, code}; }

// A life that becomes ready `ready_ms` after its start, and ends `lived_ms` after it.
Verdict live(RestartPolicy& policy, ProcessEnd end, uint64_t lived_ms = 60'000, uint64_t ready_ms = 100) {
  policy.started(1000);
  policy.spoke();
  policy.ready(1000 + ready_ms);
  return policy.ended(end, 1000 + ready_ms + lived_ms);
}

// A life that ends before it is ready.
Verdict fail(RestartPolicy& policy, ProcessEnd end) {
  policy.started(1000);
  policy.spoke();
  return policy.ended(end, 1300);
}

}  // namespace

TEST("exit code 0 ends it, ready or not") {
  RestartPolicy policy({});
  CHECK_EQ(live(policy, exited(0)).action, Action::stop);
  CHECK_EQ(fail(policy, exited(0)).action, Action::stop);
  CHECK_EQ(fail(policy, exited(0)).exit_code, 0);
}

TEST("a daemon that was ready is started again at once") {
  RestartPolicy policy({});
  for (const ProcessEnd end : {kKilled, exited(1), exited(13), ProcessEnd{true, SIGSEGV}, kKilled}) {
    const Verdict verdict = live(policy, end);
    CHECK_EQ(verdict.action, Action::restart);
    CHECK_EQ(verdict.pause_ms, 0u);
    CHECK_EQ(verdict.failures, 0u);
  }
}

TEST("a first start that fails with an exit code passes it on") {
  RestartPolicy policy({});
  const Verdict verdict = fail(policy, exited(29));
  CHECK_EQ(verdict.action, Action::stop);
  CHECK_EQ(verdict.exit_code, 29);
}

TEST("a first start that is killed is tried again") {
  RestartPolicy policy({});
  const Verdict verdict = fail(policy, kKilled);
  CHECK_EQ(verdict.action, Action::restart);
  CHECK_EQ(verdict.pause_ms, 0u);
}

TEST("failed starts are paused longer and longer, up to a bound, and then given up") {
  RestartPolicy policy({});
  live(policy, kKilled);
  const uint64_t pauses[] = {0, 100, 200, 400, 800, 1600, 2000, 2000, 2000};
  unsigned failures = 0;
  for (uint64_t pause : pauses) {
    const Verdict verdict = fail(policy, exited(29));
    CHECK_EQ(verdict.action, Action::restart);
    CHECK_EQ(verdict.pause_ms, pause);
    CHECK_EQ(verdict.failures, ++failures);
  }
  const Verdict last = fail(policy, exited(29));
  CHECK_EQ(last.action, Action::give_up);
  CHECK_EQ(last.exit_code, 29);
  CHECK_EQ(last.failures, 10u);
}

TEST("being ready forgives the failures before it") {
  RestartPolicy policy({.failures_max = 3});
  live(policy, kKilled);
  for (int i = 0; i < 10; i++) {
    CHECK_EQ(fail(policy, kKilled).action, Action::restart);
    CHECK_EQ(fail(policy, kKilled).pause_ms, 100u);
    CHECK_EQ(live(policy, kKilled).pause_ms, 0u);
  }
}

TEST("giving up after kills reports what a shell would") {
  RestartPolicy policy({.failures_max = 1});
  CHECK_EQ(fail(policy, kKilled).exit_code, 137);
}

TEST("an upgrade is started at once and is no failure") {
  RestartPolicy policy({.failures_max = 1, .brief_lives_max = 0});
  for (int i = 0; i < 5; i++) {
    const Verdict verdict = live(policy, kUpgrade, 1);
    CHECK_EQ(verdict.action, Action::restart);
    CHECK_EQ(verdict.pause_ms, 0u);
  }
}

TEST("asking for a new start before being ready counts as a failure") {
  RestartPolicy policy({.failures_max = 3});
  CHECK_EQ(fail(policy, kUpgrade).action, Action::restart);
  CHECK_EQ(fail(policy, kUpgrade).pause_ms, 100u);
  CHECK_EQ(fail(policy, kUpgrade).action, Action::give_up);
}

TEST("after a stop was asked for every end is final") {
  for (const ProcessEnd end : {kKilled, exited(13), kUpgrade}) {
    RestartPolicy policy({});
    live(policy, kKilled);
    policy.stop_asked();
    const Verdict verdict = live(policy, end);
    CHECK_EQ(verdict.action, Action::stop);
    CHECK_EQ(verdict.exit_code, end.exit_code());
  }
}

TEST("a daemon that announced its stop is not started again, unless it asks to be") {
  for (const ProcessEnd end : {kKilled, exited(13)}) {
    RestartPolicy policy({});
    policy.started(0);
    policy.ready(10);
    policy.stopping();
    CHECK_EQ(policy.ended(end, 5000).action, Action::stop);
  }
  RestartPolicy policy({});
  policy.started(0);
  policy.ready(10);
  policy.stopping();
  CHECK_EQ(policy.ended(kUpgrade, 5000).action, Action::restart);
  // What was announced held for that process only.
  policy.started(6000);
  policy.ready(6010);
  CHECK_EQ(policy.ended(kKilled, 9000).action, Action::restart);
}

TEST("a program that never speaks counts as ready after some seconds") {
  RestartPolicy policy({});
  policy.started(0);
  const Verdict early = policy.ended(exited(1), 4999);
  CHECK_EQ(early.action, Action::stop);
  RestartPolicy other({});
  other.started(0);
  const Verdict late = other.ended(exited(1), 5000);
  CHECK_EQ(late.action, Action::restart);
  CHECK(late.was_ready);
  // One that speaks is not taken to be ready, however long it runs.
  other.started(0);
  other.spoke();
  CHECK(!other.ended(exited(1), 60'000).was_ready);
}

TEST("deaths right after being ready slow the starts down after some of them, but never end it") {
  RestartPolicy policy({.failures_max = 2});
  for (int i = 0; i < 10; i++) CHECK_EQ(live(policy, kKilled, 10).pause_ms, 0u);
  CHECK_EQ(live(policy, kKilled, 10).pause_ms, 100u);
  CHECK_EQ(live(policy, kKilled, 10).pause_ms, 200u);
  for (int i = 0; i < 100; i++) CHECK_EQ(live(policy, kKilled, 10).action, Action::restart);
  CHECK_EQ(live(policy, kKilled, 10).pause_ms, 2000u);
  CHECK_EQ(live(policy, kKilled, 1000).pause_ms, 0u);
  CHECK_EQ(live(policy, kKilled, 10).pause_ms, 0u);
}

TEST("the watchdog bites only an armed daemon that says nothing for the interval") {
  Watchdog watchdog(100);
  CHECK(!watchdog.deadline_ms());
  watchdog.alive(0);
  CHECK_EQ(watchdog.due(1000), Watchdog::Step::none);
  watchdog.arm(1000);
  CHECK_EQ(watchdog.deadline_ms().value_or(0), 1100u);
  CHECK_EQ(watchdog.due(1099), Watchdog::Step::none);
  watchdog.alive(1099);
  CHECK_EQ(watchdog.due(1198), Watchdog::Step::none);
  CHECK_EQ(watchdog.due(1199), Watchdog::Step::abort);
}

TEST("what does not abort is killed, and a late sign of life does not help") {
  Watchdog watchdog(100);
  watchdog.arm(0);
  CHECK_EQ(watchdog.due(100), Watchdog::Step::abort);
  watchdog.alive(101);
  watchdog.set_interval(1'000'000, 101);
  CHECK_EQ(watchdog.due(100 + Watchdog::kGraceMs - 1), Watchdog::Step::none);
  CHECK_EQ(watchdog.due(100 + Watchdog::kGraceMs), Watchdog::Step::kill);
  CHECK_EQ(watchdog.due(1'000'000), Watchdog::Step::none);
}

TEST("a stopping daemon is not bitten") {
  Watchdog watchdog(100);
  watchdog.arm(0);
  watchdog.disarm();
  CHECK_EQ(watchdog.due(1000), Watchdog::Step::none);
}

TEST("the daemon can change the interval, until its end, and ask to be bitten") {
  Watchdog watchdog(100);
  watchdog.arm(0);
  watchdog.set_interval(500, 50);
  CHECK_EQ(watchdog.deadline_ms().value_or(0), 550u);
  watchdog.set_interval(0, 60);
  CHECK(!watchdog.deadline_ms());
  watchdog.trigger(70);
  CHECK_EQ(watchdog.due(70), Watchdog::Step::abort);
  watchdog.reset();
  watchdog.arm(1000);
  CHECK_EQ(watchdog.deadline_ms().value_or(0), 1100u);
}

TEST("without an interval there is no watchdog") {
  Watchdog watchdog(0);
  watchdog.arm(0);
  watchdog.set_interval(10, 0);
  watchdog.trigger(0);
  CHECK(!watchdog.deadline_ms());
  CHECK_EQ(watchdog.due(UINT64_MAX), Watchdog::Step::none);
}

CHECK_MAIN()
