#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <variant>

#include "options.h"
#include "supervisor.h"

using namespace galleonfs::supervisor;

namespace {

constexpr int kUsageExitCode = 2;
// What the supervisor itself has open, with room to spare.
constexpr size_t kOwnDescriptors = 64;

// Every descriptor is held once and, for a moment, twice more in the process being started.
size_t descriptors_possible() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 256;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_max == RLIM_INFINITY) return SIZE_MAX;
  return limit.rlim_max > 4 * kOwnDescriptors ? (limit.rlim_max - kOwnDescriptors) / 3 : kOwnDescriptors;
}

// Starting the daemon must not wait for memory that only the daemon's own mounts could free. Both may be refused.
void stay_in_memory() {
#ifdef PR_SET_IO_FLUSHER
  prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
#endif
  // Not MCL_FUTURE: under a limit an allocation would fail then.
  mlockall(MCL_CURRENT);
}

Descriptor take_over_signals() {
  sigset_t taken;
  sigemptyset(&taken);
  for (int number : {SIGCHLD, SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2}) {
    sigaddset(&taken, number);
    // Ignored in the parent, it would stay ignored and never arrive.
    signal(number, SIG_DFL);
  }
  signal(SIGPIPE, SIG_IGN);
  sigprocmask(SIG_SETMASK, &taken, nullptr);
  return Descriptor(signalfd(-1, &taken, SFD_CLOEXEC | SFD_NONBLOCK));
}

}  // namespace

int main(int argc, char** argv) {
  const auto parsed = parse_options({argv + 1, argv + argc});
  if (const auto* wrong = std::get_if<std::string>(&parsed)) {
    if (wrong->empty()) {
      fputs(kUsage, stdout);
      return 0;
    }
    fprintf(stderr, "galleonfs-supervisor: %s\n%s", wrong->c_str(), kUsage);
    return kUsageExitCode;
  }
  auto options = std::get<Options>(parsed);
  options.descriptors_max = std::min(options.descriptors_max, descriptors_possible());
  stay_in_memory();
  const EventLog log(STDERR_FILENO, options.log_level, isatty(STDERR_FILENO) == 1);
  Descriptor signals = take_over_signals();
  if (signals.number() < 0) {
    log.error("no descriptor for signals");
    return 1;
  }
  return Supervisor(options, log, std::move(signals)).run();
}
