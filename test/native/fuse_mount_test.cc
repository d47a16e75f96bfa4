// Mounting, unmounting, many sessions at once, and what happens when others interfere.
#include <sys/resource.h>

#include "fuse/mount.h"
#include "fuse_fixture.h"

using namespace galleonfs;
using namespace galleonfs::check;

namespace {

template <class R>
int failure(R result) {
  return result == static_cast<R>(-1) ? errno : 0;
}

void expect_mount_error(const std::string& mount_point, const char* code) {
  fuse::MountOptions options;
  options.mount_point = mount_point;
  fuse::Mounted mounted;
  fuse::Error error = fuse::mount_connection(options, mounted);
  CHECK(error.errno_value != 0);
  CHECK_EQ(std::string(error.code), std::string(code));
  CHECK(error.detail.find(mount_point) != std::string::npos);
}

template <class Done>
bool within(int ms, Done done) {
  for (; ms > 0; ms -= 5) {
    if (done()) return true;
    usleep(5000);
  }
  return done();
}

}  // namespace

TEST("mountinfo lines are parsed, escapes too") {
  auto e = fuse::parse_mountinfo_line("36 35 0:98 / /a\\040b\\134 rw,noatime master:1 shared:2 - fuse.galleonfs galleonfs rw");
  CHECK(e.has_value());
  CHECK_EQ(e->device, std::string("0:98"));
  CHECK_EQ(e->mount_point, std::string("/a b\\"));
  CHECK_EQ(e->type, std::string("fuse.galleonfs"));
  CHECK_EQ(e->source, std::string("galleonfs"));
  CHECK(fuse::parse_mountinfo_line("36 35 0:9 / /m rw - ext4 /dev/a rw").has_value());
  for (const char* bad : {"", " ", "36 35", "36 35 0:9 / /m rw", "36 35 0:9 / /m rw -", "- - - - - -"}) {
    CHECK(!fuse::parse_mountinfo_line(bad).has_value());
  }
}

TEST("a mount point that is missing, a file, or not empty is refused before mounting") {
  TempDir t;
  expect_mount_error(t.path + "/missing", "FUSE_MOUNT_POINT");
  std::string file = t.path + "/file";
  close(open(file.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  expect_mount_error(file, "FUSE_MOUNT_POINT");
  expect_mount_error(t.path, "FUSE_MOUNT_POINT");
  unlink(file.c_str());
}

MOUNT_TEST("the mount table shows fuse.galleonfs, and a second mount there is refused") {
  MountedVolume v;
  auto there = fuse::find_mount(v.dir.path);
  CHECK(there.has_value());
  CHECK_EQ(there->type, std::string("fuse.galleonfs"));
  CHECK_EQ(there->source, std::string("galleonfs"));
  bool listed = false;
  for (auto& e : fuse::find_our_mounts()) listed |= e.mount_point == v.dir.path;
  CHECK(listed);
  expect_mount_error(v.dir.path, "FUSE_ALREADY_MOUNTED");
}

MOUNT_TEST("fusermount3 mounts and unmounts the same way") {
  if (shell("command -v fusermount3 >/dev/null") != 0) return;
  MountedVolume v([](auto& o) {
    o.method = fuse::MountMethod::fusermount;
    o.allow_other = true;
  });
  auto there = fuse::find_mount(v.dir.path);
  CHECK(there && there->type == "fuse.galleonfs");
  int fd = v.open();
  CHECK_EQ(pwrite(fd, "hello", 5, 0), 5);
  close(fd);
  CHECK_EQ(v.command('u'), 'k');
  CHECK_EQ(v.shared->ended.load(), 1);
}

MOUNT_TEST("without fusermount3 in PATH the error says so; what fusermount3 says is passed on") {
  TempDir t;
  fuse::MountOptions options;
  options.mount_point = t.path;
  options.method = fuse::MountMethod::fusermount;
  fuse::Mounted mounted;
  std::string path = getenv("PATH");
  setenv("PATH", "/nonexistent", 1);
  CHECK_EQ(std::string(fuse::mount_connection(options, mounted).code), std::string("FUSE_FUSERMOUNT_MISSING"));
  setenv("PATH", path.c_str(), 1);
}

MOUNT_TEST("unmounting is refused while a file is open, and works afterwards") {
  MountedVolume v;
  int fd = v.open();
  CHECK_EQ(v.command('u'), 'e');
  CHECK_EQ(v.shared->errno_value.load(), EBUSY);
  CHECK_EQ(pwrite(fd, "x", 1, 0), 1);
  close(fd);
  CHECK_EQ(v.command('u'), 'k');
  CHECK_EQ(v.shared->ended.load(), 1);
  CHECK(!fuse::find_mount(v.dir.path));
}

MOUNT_TEST("stopping with open files detaches the mount and ends them with an error") {
  int fd;
  {
    MountedVolume v;
    fd = v.open();
    CHECK_EQ(pwrite(fd, "x", 1, 0), 1);
  }
  char c;
  CHECK(failure(pread(fd, &c, 1, 0)) != 0);
  close(fd);
}

MOUNT_TEST("an unmount by someone else is noticed and reported once, idle or busy") {
  for (bool busy : {false, true}) {
    MountedVolume v;
    pid_t writer = 0;
    if (busy) {
      fflush(nullptr);
      writer = fork();
      if (writer == 0) {
        int fd = v.open();
        char block[4096] = {};
        for (int i = 0; i < 20'000; i++) (void)!pwrite(fd, block, sizeof block, (i % 1000) * 4096);
        _exit(0);
      }
      usleep(50'000);
    }
    CHECK_EQ(umount2(v.dir.path.c_str(), MNT_DETACH), 0);
    if (writer) {
      int status;
      CHECK_EQ(waitpid(writer, &status, 0), writer);
      CHECK_EQ(status, 0);
    }
    CHECK(within(5000, [&] { return v.shared->ended.load() == 1; }));
    CHECK_EQ(v.command('c'), 'k');  // the server is well
  }
}

MOUNT_TEST("an aborted connection ends the session and is reported") {
  MountedVolume v;
  std::string device = fuse::find_mount(v.dir.path)->device;
  std::string minor = device.substr(device.find(':') + 1);
  shell("mountpoint -q /sys/fs/fuse/connections || mount -t fusectl none /sys/fs/fuse/connections 2>/dev/null");
  std::string abort_file = "/sys/fs/fuse/connections/" + minor + "/abort";
  if (access(abort_file.c_str(), W_OK) != 0) return;
  CHECK_EQ(shell("echo 1 > " + abort_file), 0);
  CHECK(within(5000, [&] { return v.shared->ended.load() == 1; }));
  CHECK_EQ(umount2(v.dir.path.c_str(), MNT_DETACH), 0);
}

MOUNT_TEST("200 idle mounts cost few threads, and each serves") {
  TempDir t;
  RamDevice device(1 << 20);
  RamDevice::Shared& tally = device.shared();
  auto* threads = static_cast<std::atomic<size_t>*>(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  int ready[2], stop[2];
  CHECK_EQ(pipe(ready), 0);
  CHECK_EQ(pipe(stop), 0);
  constexpr int kMounts = 200;
  fflush(nullptr);
  pid_t child = fork();
  if (child == 0) {
    close(stop[1]);
    bool well = true;
    {
      fuse::Server server;
      for (int i = 0; i < kMounts; i++) {
        fuse::MountOptions options;
        options.mount_point = t.path + "/" + std::to_string(i);
        mkdir(options.mount_point.c_str(), 0700);
        fuse::Error error;
        if (!server.mount(device, options, error)) {
          std::fprintf(stderr, "%s %s\n", error.code, error.detail.c_str());
          well = false;
        }
      }
      usleep(2'500'000);  // spare threads leave
      *threads = server.thread_count();
      (void)!write(ready[1], "r", 1);
      char c;
      (void)!read(stop[0], &c, 1);
    }
    for (int i = 0; i < kMounts; i++) rmdir((t.path + "/" + std::to_string(i)).c_str());
    std::exit(well ? 0 : 1);
  }
  close(ready[1]);
  char c;
  CHECK_EQ(read(ready[0], &c, 1), 1);
  size_t idle_threads = *threads;
  bool served = true;
  for (int i = 0; i < kMounts; i++) {
    int fd = open((t.path + "/" + std::to_string(i) + "/data").c_str(), O_RDWR | O_CLOEXEC);
    served = served && fd >= 0 && pwrite(fd, "x", 1, i) == 1;
    close(fd);
  }
  close(stop[1]);
  int status;
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK_EQ(status, 0);
  CHECK(served);
  CHECK(idle_threads <= 4);
  CHECK_EQ(tally.writes.load(), kMounts);
  CHECK(fuse::find_our_mounts().empty() || !fuse::find_mount(t.path + "/0"));
}

MOUNT_TEST("a mount handed over by its descriptors is served on without INIT") {
  TempDir t;
  RamDevice device(1 << 20);
  int say[2];
  CHECK_EQ(pipe(say), 0);
  fflush(nullptr);
  pid_t child = fork();
  if (child == 0) {
    fuse::MountOptions options;
    options.mount_point = t.path;
    std::vector<fuse::IndexedDescriptor> descriptors;
    fuse::Negotiated negotiated;
    fuse::Error error;
    {
      fuse::Server first;
      auto session = first.mount(device, options, error);
      if (!session) _exit(1);
      negotiated = session->negotiated();
      first.stop(fuse::StopMode::keep_mounted);
      for (auto [index, fd] : session->descriptors()) descriptors.push_back({index, dup(fd)});
    }
    fuse::Server second;
    auto session = second.adopt(device, options, {descriptors, negotiated, {}}, error);
    if (!session) _exit(2);
    (void)!write(say[1], "r", 1);
    while (!session->ended()) usleep(1000);
    second.stop(fuse::StopMode::unmount);
    _exit(0);
  }
  char c;
  CHECK_EQ(read(say[0], &c, 1), 1);
  int fd = open((t.path + "/data").c_str(), O_RDWR | O_CLOEXEC);
  CHECK(fd >= 0);
  for (int i = 0; i < 1000; i++) CHECK_EQ(pwrite(fd, "abc", 3, i), 3);
  void* p = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  CHECK(p != MAP_FAILED);
  munmap(p, 4096);
  close(fd);
  CHECK_EQ(umount2(t.path.c_str(), 0), 0);
  int status;
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK_EQ(status, 0);
}

CHECK_MAIN()
