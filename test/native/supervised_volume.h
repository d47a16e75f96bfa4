// A volume on a real mount whose serving process is killed and started again while programs use it.
//
// Three processes. The test's own does the I/O. The supervisor, a child of it, keeps the descriptors, starts the server and
// kills it when told; it is a process of its own because, if the test fails with threads stuck in the mount, only the death of
// all who hold the connection lets them go. The server is this program again, with --serve: run serve_volume() from main().
#pragma once
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <string>
#include <thread>
#include <vector>

#include "check.h"
#include "descriptor_store_double.h"
#include "fuse/inherited_descriptors.h"
#include "fuse/mount_table.h"
#include "fuse/server.h"
#include "fuse_fixture.h"
#include "page_dropper.h"
#include "shared_device.h"

namespace galleonfs::check {

struct ServeOptions {
  fuse::InFlight in_flight = fuse::InFlight::automatic;
  fuse::CacheMode cache = fuse::CacheMode::direct;
  size_t threads_max = 8;
  uint64_t size = 32ull << 20;
};

inline constexpr uint64_t kServedKey = 0x0123456789abcdef;

// main() of the serving process: --serve <mount point> <device descriptor's path> <size> <slots|auto> <cached|direct> <threads>
[[noreturn]] inline void serve_volume(char** argv) {
  int status = 0;
  {
    sigset_t signals;
    sigemptyset(&signals);
    for (int s : {SIGTERM, SIGUSR1, SIGUSR2}) sigaddset(&signals, s);
    sigprocmask(SIG_BLOCK, &signals, nullptr);

    const auto inherited = fuse::take_inherited_descriptors();
    SharedDevice device(open(argv[3], O_RDWR | O_CLOEXEC), std::strtoull(argv[4], nullptr, 10));
    fuse::MountOptions options;
    options.mount_point = argv[2];
    options.key = kServedKey;
    options.in_flight = std::string(argv[5]) == "slots" ? fuse::InFlight::slots : fuse::InFlight::automatic;
    options.cache = std::string(argv[6]) == "cached" ? fuse::CacheMode::cached : fuse::CacheMode::direct;

    fuse::DescriptorStore store(getenv("NOTIFY_SOCKET"));
    fuse::ServerOptions server_options;
    server_options.threads_max = std::strtoull(argv[7], nullptr, 10);
    server_options.store = &store;
    fuse::Server server(server_options);

    fuse::InheritedMount mount;
    std::vector<fuse::InheritedSlots> slots;
    std::vector<std::string> slots_names;
    for (const auto& [name, fd] : inherited) {
      if (auto connection = fuse::parse_connection_name(name)) mount.descriptors.push_back({connection->index, fd});
      if (!fuse::is_slots_name(name)) continue;
      slots_names.push_back(name);
      slots.emplace_back(fd);
    }
    mount.slots = slots;

    fuse::Error error;
    std::shared_ptr<fuse::Session> session;
    if (mount.descriptors.empty()) {
      session = server.mount(device, options, error);
      if (session) {
        strcpy(device.shared().negotiated, fuse::to_text(session->negotiated()).c_str());
        strcpy(device.shared().device_id, session->device_id().c_str());
      }
    } else {
      options.device_id = device.shared().device_id;
      mount.negotiated = fuse::negotiated_from_text(device.shared().negotiated).value();
      session = server.adopt(device, options, std::move(mount), error);
    }
    if (!session) {
      std::fprintf(stderr, "%s: %s\n", error.code, error.detail.c_str());
      _exit(1);
    }
    for (const std::string& name : slots_names) store.remove(name);
    if (store.notify("READY=1") != 0) _exit(1);

    PageDropper dropper(device.shared().page_faults_held);
    for (bool stopped = false; !stopped;) {
      int signal = 0;
      sigwait(&signals, &signal);
      if (signal == SIGUSR1) {
        if (!dropper.drop()) status = 4;
        continue;
      }
      server.stop(signal == SIGTERM ? fuse::StopMode::unmount : fuse::StopMode::keep_mounted);
      stopped = true;
    }
    if (session->counters().in_flight != 0) status = 3;
  }
  std::exit(status);  // runs the leak checker
}

class SupervisedVolume {
 public:
  explicit SupervisedVolume(ServeOptions options = {}) : device(options.size), options_(options) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) abort();
    control_ = ends[0];
    fflush(nullptr);
    supervisor_ = fork();
    if (supervisor_ == 0) {
      close(ends[0]);
      alarm(0);
      supervise(ends[1]);
    }
    close(ends[1]);
    CHECK_EQ(answer(), "up");
  }

  ~SupervisedVolume() {
    CHECK_EQ(command("stop"), "stopped");
    close(control_);
    int status = 0;
    while (waitpid(supervisor_, &status, 0) < 0) {
    }
    CHECK_EQ(status, 0);
    CHECK(!fuse::find_mount(dir.path));
  }

  std::string path(const char* name = "data") const { return dir.path + "/" + name; }
  int open(int flags = O_RDWR) const { return ::open(path().c_str(), flags | O_CLOEXEC); }

  // kill -9; back when another process serves.
  void kill() { CHECK_EQ(command("kill"), "up"); }
  // kill -9, and again `times` times within `us` microseconds of each new start; back when one was let live.
  void kill_starting(int times, unsigned us) { CHECK_EQ(command("kill_starting " + std::to_string(times) + " " + std::to_string(us)), "up"); }
  void kill_only() { CHECK_EQ(command("kill_only"), "down"); }
  void start() { CHECK_EQ(command("start"), "up"); }
  // Starts a process that never gets ready, and kills it once `held` operations in all have waited in the device.
  void start_in_vain(int held) { CHECK_EQ(command("start_in_vain " + std::to_string(held)), "down"); }
  void hand_over() { CHECK_EQ(command("hand_over"), "up"); }
  // The store leaves its messages unread until `go_on`.
  void hold_store() { CHECK_EQ(command("hold"), "held"); }
  void go_on() { CHECK_EQ(command("go_on"), "going"); }
  void drop_pages() { CHECK_EQ(command("drop_pages"), "told"); }
  bool stores(const std::string& name) { return command("has " + name) == "yes"; }
  // How many slots files are deposited.
  int generations() { return std::atoi(command("generations").c_str()); }

  // The newest slots file, open for reading and writing.
  int slots_file() {
    std::string fd = command("slots");
    return ::open(("/proc/" + std::to_string(supervisor_) + "/fd/" + fd).c_str(), O_RDWR | O_CLOEXEC);
  }

  TempDir dir;
  SharedDevice device;

 private:
  std::string command(const std::string& text) {
    CHECK(send(control_, text.data(), text.size(), MSG_NOSIGNAL) >= 0);
    return answer();
  }

  std::string answer() {
    char text[256];
    ssize_t n = recv(control_, text, sizeof text, 0);
    CHECK(n > 0);
    return {text, static_cast<size_t>(n)};
  }

  // In the supervisor from here on.

  [[noreturn]] void supervise(int control) {
    prctl(PR_SET_NAME, "supervisor");
    std::string socket_path = dir.path + ".notify";
    int status = 0;
    {
      DescriptorStoreDouble store(socket_path);
      store_ = &store;
      random_ = static_cast<unsigned>(getpid());
      start_server();
      await_ready();
      say(control, "up");
      bool holding = false;
      for (bool stopped = false; !stopped;) {
        pollfd events[2] = {{control, POLLIN, 0}, {holding ? -1 : store.socket_fd(), POLLIN, 0}};
        if (poll(events, 2, 500) < 0) continue;
        if (test_is_dying()) events[0].revents = POLLHUP;
        // By itself: a sanitizer's verdict, or a crash. The test would wait in the mount for ever.
        int ended = 0;
        if (server_ > 0 && waitpid(server_, &ended, WNOHANG) == server_) {
          std::fprintf(stderr, "the server ended by itself: status 0x%x\n", static_cast<unsigned>(ended));
          server_ = 0;
          status = 1;
          break;
        }
        if (events[1].revents) store.handle_waiting();
        if (!events[0].revents) continue;
        char text[256];
        ssize_t n = recv(control, text, sizeof text, MSG_DONTWAIT);
        if (n <= 0) {  // the test failed
          if (server_ > 0) kill_server();
          status = 1;
          break;
        }
        stopped = obey({text, static_cast<size_t>(n)}, control, holding);
      }
      store_ = nullptr;
    }
    // With the store its descriptors went: what is left is a dead mount.
    umount2(dir.path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW);
    _exit(status);
  }

  // A thread of it that waits in the mount keeps its descriptors open, so its end of the socket does not tell.
  bool test_is_dying() const {
    std::FILE* file = std::fopen(("/proc/" + std::to_string(test_) + "/stat").c_str(), "re");
    if (file == nullptr) return true;
    char state = 'Z';
    (void)!std::fscanf(file, "%*d (%*[^)]) %c", &state);
    std::fclose(file);
    return state == 'Z' || state == 'X';
  }

  bool obey(const std::string& text, int control, bool& holding) {
    std::istringstream words(text);
    std::string verb;
    words >> verb;
    if (verb == "kill") {
      kill_server();
      start_server();
      await_ready();
      say(control, "up");
    } else if (verb == "kill_starting") {
      int times = 0;
      unsigned us = 1;
      words >> times >> us;
      kill_server();
      for (int i = 0; i < times; i++) {
        start_server();
        pump_for(rand_r(&random_) % us);
        kill_server();
      }
      start_server();
      await_ready();
      say(control, "up");
    } else if (verb == "kill_only") {
      kill_server();
      say(control, "down");
    } else if (verb == "start_in_vain") {
      int held = 0;
      words >> held;
      start_server();
      while (device.shared().holding < held) pump_for(500);
      kill_server();
      say(control, "down");
    } else if (verb == "start") {
      start_server();
      await_ready();
      say(control, "up");
    } else if (verb == "hand_over") {
      ::kill(server_, SIGUSR2);
      expect_exit(0);
      start_server();
      await_ready();
      say(control, "up");
    } else if (verb == "hold" || verb == "go_on") {
      holding = verb == "hold";
      say(control, holding ? "held" : "going");
    } else if (verb == "drop_pages") {
      ::kill(server_, SIGUSR1);
      say(control, "told");
    } else if (verb == "has") {
      std::string name;
      words >> name;
      say(control, store_->has(name) ? "yes" : "no");
    } else if (verb == "generations") {
      int n = 0;
      for (auto& s : store_->stored) n += fuse::is_slots_name(s.name);
      say(control, std::to_string(n));
    } else if (verb == "slots") {
      int newest = -1;
      for (auto& s : store_->stored) newest = fuse::is_slots_name(s.name) ? s.fd : newest;
      say(control, std::to_string(newest));
    } else if (verb == "stop") {
      ::kill(server_, SIGTERM);
      expect_exit(0);
      say(control, "stopped");
      return true;
    }
    return false;
  }

  void start_server() {
    std::vector<std::string> arguments{"/proc/self/exe", "--serve", dir.path, "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(device.fd()),
                                       std::to_string(device.size_bytes()), options_.in_flight == fuse::InFlight::slots ? "slots" : "auto",
                                       options_.cache == fuse::CacheMode::cached ? "cached" : "direct", std::to_string(options_.threads_max)};
    std::vector<char*> argv;
    for (auto& a : arguments) argv.push_back(a.data());
    argv.push_back(nullptr);
    std::string names;
    for (auto& s : store_->stored) names += (names.empty() ? "" : ":") + s.name;
    ready_ = false;
    server_ = fork();
    if (server_ != 0) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    // Up first, so that none is overwritten on the way down.
    std::vector<int> high;
    for (auto& s : store_->stored) high.push_back(fcntl(s.fd, F_DUPFD, 600));
    for (size_t i = 0; i < high.size(); i++) {
      dup2(high[i], 3 + static_cast<int>(i));
      close(high[i]);
    }
    setenv("NOTIFY_SOCKET", store_->address().c_str(), 1);
    setenv("LISTEN_PID", std::to_string(getpid()).c_str(), 1);
    setenv("LISTEN_FDS", std::to_string(high.size()).c_str(), 1);
    setenv("LISTEN_FDNAMES", names.c_str(), 1);
    execv(argv[0], argv.data());
    _exit(127);
  }

  void pump() {
    store_->handle_waiting();
    for (; read_messages_ < store_->messages.size(); read_messages_++) ready_ = ready_ || store_->messages[read_messages_] == "READY=1";
  }

  void pump_for(unsigned us) {
    for (unsigned waited = 0; waited < us; waited += 50) {
      pump();
      usleep(50);
    }
  }

  void await_ready() {
    while (!ready_) {
      pollfd p{store_->socket_fd(), POLLIN, 0};
      poll(&p, 1, 20);
      pump();
      int status = 0;
      if (!ready_ && waitpid(server_, &status, WNOHANG) == server_) {
        std::fprintf(stderr, "the server ended before it was ready: status 0x%x\n", static_cast<unsigned>(status));
        server_ = 0;
        _exit(2);
      }
    }
  }

  void kill_server() {
    if (server_ <= 0) abort();
    ::kill(server_, SIGKILL);
    int status = 0;
    while (waitpid(server_, &status, 0) < 0) {
    }
    server_ = 0;
    // Died by itself before: a sanitizer's verdict, or a crash.
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
      std::fprintf(stderr, "the server was gone before it was killed: status 0x%x\n", static_cast<unsigned>(status));
      _exit(2);
    }
    pump();
  }

  void expect_exit(int wanted) {
    int status = 0;
    while (waitpid(server_, &status, WNOHANG) == 0) {
      pump();
      usleep(200);
    }
    server_ = 0;
    pump();
    if (WIFEXITED(status) && WEXITSTATUS(status) == wanted) return;
    std::fprintf(stderr, "the server ended with status 0x%x\n", static_cast<unsigned>(status));
    _exit(2);
  }

  static void say(int control, const std::string& text) { (void)!send(control, text.data(), text.size(), MSG_NOSIGNAL); }

  const ServeOptions options_;
  int control_;
  const pid_t test_ = getpid();
  pid_t supervisor_;
  DescriptorStoreDouble* store_ = nullptr;
  pid_t server_ = 0;
  bool ready_ = false;
  size_t read_messages_ = 0;
  unsigned random_ = 1;
};

}  // namespace galleonfs::check
