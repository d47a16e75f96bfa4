#include "fusermount.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

extern char** environ;

namespace galleonfs::fuse {
namespace {

constexpr const char* kProgram = "fusermount3";

struct Pipe {
  int ends[2] = {-1, -1};
  ~Pipe() {
    close_end(0);
    close_end(1);
  }
  void close_end(int i) {
    if (ends[i] >= 0) close(ends[i]);
    ends[i] = -1;
  }
};

// Starts fusermount3 with stderr into `errors` and, when it is not -1, `comm` under its own number and in _FUSE_COMMFD.
int spawn(std::vector<std::string> arguments, int errors, int comm, pid_t& pid) {
  std::string variable = "_FUSE_COMMFD=" + std::to_string(comm);
  std::vector<char*> env;
  for (char** e = environ; *e != nullptr; e++) {
    if (strncmp(*e, "_FUSE_COMMFD=", 13) != 0) env.push_back(*e);
  }
  if (comm >= 0) env.push_back(variable.data());
  env.push_back(nullptr);
  std::vector<char*> argv;
  for (std::string& a : arguments) argv.push_back(a.data());
  argv.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, errors, 2);
  if (comm >= 0) posix_spawn_file_actions_adddup2(&actions, comm, comm);  // the same number: clears close-on-exec
  // Our threads block most signals; the program must not inherit that.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  int error = posix_spawnp(&pid, kProgram, &actions, &attributes, argv.data(), env.data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return error;
}

int receive_descriptor(int socket) {
  char byte;
  iovec data{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t n;
  do {
    n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  } while (n < 0 && errno == EINTR);
  if (n <= 0) return -1;
  const cmsghdr* c = CMSG_FIRSTHDR(&message);
  if (c == nullptr || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS || c->cmsg_len != CMSG_LEN(sizeof(int))) return -1;
  int fd;
  memcpy(&fd, CMSG_DATA(c), sizeof fd);
  return fd;
}

std::string read_errors(int fd) {
  std::string text;
  char chunk[512];
  while (text.size() < 4096) {
    ssize_t n = read(fd, chunk, sizeof chunk);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    text.append(chunk, static_cast<size_t>(n));
  }
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return text;
}

int wait_for(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return 0;  // reaped elsewhere (the process ignores SIGCHLD): the outcome is judged otherwise
  }
  return status;
}

Error missing(int error) {
  if (error == ENOENT) {
    return {error, "FUSE_FUSERMOUNT_MISSING", "fusermount3 is not in PATH; install the package fuse3, or run as root."};
  }
  return {error, "FUSE_RESOURCES", std::string("fusermount3 could not be started: ") + strerror(error) + "."};
}

}  // namespace

Error fusermount_mount(const std::string& mount_point, const std::string& options, int& fd) {
  Pipe socket, errors;
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, socket.ends) != 0 || pipe2(errors.ends, O_CLOEXEC) != 0) {
    return {errno, "FUSE_RESOURCES", std::string("No socket for fusermount3: ") + strerror(errno) + "."};
  }
  pid_t pid;
  int error = spawn({kProgram, "-o", options, "--", mount_point}, errors.ends[1], socket.ends[1], pid);
  if (error) return missing(error);
  socket.close_end(1);
  errors.close_end(1);
  fd = receive_descriptor(socket.ends[0]);
  std::string said = read_errors(errors.ends[0]);
  wait_for(pid);
  if (fd < 0) {
    bool refused = said.find("ermission") != std::string::npos || said.find("not permitted") != std::string::npos ||
                   said.find("user_allow_other") != std::string::npos;
    return {refused ? EPERM : EIO, refused ? "FUSE_NOT_PERMITTED" : "FUSE_MOUNT_FAILED",
            "fusermount3 did not mount '" + mount_point + "': " + (said.empty() ? "it gave no reason" : said) + "."};
  }
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  return {};
}

Error fusermount_unmount(const std::string& mount_point, bool lazy) {
  Pipe errors;
  if (pipe2(errors.ends, O_CLOEXEC) != 0) {
    return {errno, "FUSE_RESOURCES", std::string("No pipe for fusermount3: ") + strerror(errno) + "."};
  }
  std::vector<std::string> arguments{kProgram, "-u"};
  if (lazy) arguments.push_back("-z");
  arguments.insert(arguments.end(), {"--", mount_point});
  pid_t pid;
  if (int error = spawn(arguments, errors.ends[1], -1, pid)) return missing(error);
  errors.close_end(1);
  std::string said = read_errors(errors.ends[0]);
  int status = wait_for(pid);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  bool busy = said.find("busy") != std::string::npos;
  return {busy ? EBUSY : EIO, busy ? "FUSE_BUSY" : "FUSE_UNMOUNT_FAILED",
          "fusermount3 did not unmount '" + mount_point + "': " + (said.empty() ? "it gave no reason" : said) + "."};
}

}  // namespace galleonfs::fuse
