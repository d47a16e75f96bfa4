#include "supervised_process.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <cerrno>

namespace galleonfs::supervisor {
namespace {

// A nice value, while the program is urgent.
constexpr int kUrgent = -15;

// Everything below runs in the new process, which has one thread: the parent has no other.

void restore_signals() {
  for (int number = 1; number < NSIG; number++) ::signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

// Moves the descriptors to 3, 4, 5 ... By way of numbers above, so that none is overwritten before it has moved.
bool place(const std::vector<HeldDescriptor>& held, int& error_pipe) {
  const int above = kFirstPassedDescriptor + static_cast<int>(held.size());
  error_pipe = fcntl(error_pipe, F_DUPFD_CLOEXEC, above);
  if (error_pipe < 0) return false;
  std::vector<int> numbers;
  for (const HeldDescriptor& one : held) {
    numbers.push_back(fcntl(one.descriptor.number(), F_DUPFD_CLOEXEC, above));
    if (numbers.back() < 0) return false;
  }
  int target = kFirstPassedDescriptor;
  for (int number : numbers) {
    // dup2() clears close-on-exec.
    if (dup2(number, target++) < 0) return false;
  }
  return true;
}

void set_number(const char* name, uint64_t number) { setenv(name, std::to_string(number).c_str(), 1); }

void set_environment(const Launch& launch, const std::vector<HeldDescriptor>& held) {
  for (const char* name : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID", "WATCHDOG_USEC"}) unsetenv(name);
  setenv("NOTIFY_SOCKET", launch.notify_address.c_str(), 1);
  const auto pid = static_cast<uint64_t>(getpid());
  if (!held.empty()) {
    std::string names;
    for (const HeldDescriptor& one : held) names += (&one == &held.front() ? "" : ":") + one.name;
    set_number("LISTEN_PID", pid);
    set_number("LISTEN_FDS", held.size());
    setenv("LISTEN_FDNAMES", names.c_str(), 1);
  }
  if (launch.watchdog_usec > 0) {
    set_number("WATCHDOG_PID", pid);
    set_number("WATCHDOG_USEC", launch.watchdog_usec);
  }
}

[[noreturn]] void become(const Launch& launch, const std::vector<HeldDescriptor>& held, int error_pipe) {
  setpgid(0, 0);
  restore_signals();
  std::vector<char*> arguments;
  for (const std::string& argument : launch.command) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  if (!held.empty()) setpriority(PRIO_PROCESS, 0, kUrgent);
  if (place(held, error_pipe)) {
    set_environment(launch, held);
    execvp(arguments[0], arguments.data());
  }
  const int error = errno;
  [[maybe_unused]] const ssize_t written = write(error_pipe, &error, sizeof error);
  _exit(127);
}

}  // namespace

int SupervisedProcess::start(const Launch& launch, const std::vector<HeldDescriptor>& held) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return errno;
  Descriptor reading(ends[0]), writing(ends[1]);
  const pid_t pid = fork();
  if (pid < 0) return errno;
  if (pid == 0) become(launch, held, writing.number());
  // Here too: a signal to the group may come before the other has done it.
  setpgid(pid, pid);
  writing.reset();
  // Ends with nothing read when the program has been started: the pipe is close-on-exec.
  int error = 0;
  ssize_t bytes;
  do {
    bytes = read(reading.number(), &error, sizeof error);
  } while (bytes < 0 && errno == EINTR);
  if (bytes == sizeof error) {
    waitpid(pid, nullptr, 0);
    return error;
  }
  pid_ = pid;
  return 0;
}

void SupervisedProcess::signal(int number) const {
  if (pid_ > 0) kill(pid_, number);
}

void SupervisedProcess::calm() const {
  // Priority is a thread's, inherited by those it starts.
  const std::string path = "/proc/" + std::to_string(pid_) + "/task";
  DIR* threads = pid_ > 0 ? opendir(path.c_str()) : nullptr;
  if (threads == nullptr) return;
  const int usual = getpriority(PRIO_PROCESS, 0);
  while (const dirent* thread = readdir(threads)) {
    const int id = atoi(thread->d_name);
    if (id > 0) setpriority(PRIO_PROCESS, static_cast<id_t>(id), usual);
  }
  closedir(threads);
}

std::optional<ProcessEnd> SupervisedProcess::reap() {
  if (pid_ == 0) return std::nullopt;
  int status = 0;
  if (waitpid(pid_, &status, WNOHANG) != pid_) return std::nullopt;
  pid_ = 0;
  if (WIFSIGNALED(status)) return ProcessEnd{true, WTERMSIG(status)};
  return ProcessEnd{false, WEXITSTATUS(status)};
}

}  // namespace galleonfs::supervisor
