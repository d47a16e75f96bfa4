#include "guarded_copy.h"

#include <setjmp.h>
#include <signal.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <mutex>

namespace galleonfs::disk {
namespace {

struct Guard {
  sigjmp_buf back;
  uintptr_t first = 0;  // the mapping's bytes being written; a fault elsewhere is not ours
  uintptr_t end = 0;
  volatile sig_atomic_t armed = 0;
};
thread_local Guard guard;
struct sigaction previous_action;

void on_bus_error(int signal, siginfo_t* info, void* context) {
  const auto at = reinterpret_cast<uintptr_t>(info->si_addr);
  // The kernel may tell the page's start rather than the byte.
  if (guard.armed != 0 && at + 65536 > guard.first && at < guard.end) {
    guard.armed = 0;
    siglongjmp(guard.back, 1);
  }
  if ((previous_action.sa_flags & SA_SIGINFO) != 0 && previous_action.sa_sigaction != nullptr) {
    previous_action.sa_sigaction(signal, info, context);
    return;
  }
  sigaction(signal, &previous_action, nullptr);  // as it was: the fault comes again and ends the process
}

void install_handler() {
  static std::once_flag once;
  std::call_once(once, [] {
    struct sigaction action {};
    action.sa_sigaction = on_bus_error;
    action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, &previous_action);
  });
}

}  // namespace

int guarded_copy(void* into, const void* from, size_t length) noexcept {
  install_handler();
  guard.first = reinterpret_cast<uintptr_t>(into);
  guard.end = guard.first + length;
  if (sigsetjmp(guard.back, 0) != 0) return EIO;
  guard.armed = 1;
  std::memcpy(into, from, length);
  guard.armed = 0;
  return 0;
}

}  // namespace galleonfs::disk
