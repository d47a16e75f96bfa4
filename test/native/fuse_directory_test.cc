// What programs see of a mounted volume's directory: names, attributes, and what is refused.
#include <dirent.h>
#include <sys/ioctl.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>

#include <set>

#include "fuse_fixture.h"

using namespace galleonfs;
using namespace galleonfs::check;

namespace {

template <class R>
int failure(R result) {
  return result == static_cast<R>(-1) ? errno : 0;
}

std::string text(const std::string& path) {
  int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  CHECK(fd >= 0);
  char buf[4096];
  ssize_t n = read(fd, buf, sizeof buf);
  CHECK(n >= 0);
  close(fd);
  return {buf, static_cast<size_t>(n)};
}

struct stat stat_of(const std::string& path) {
  struct stat st;
  CHECK_EQ(stat(path.c_str(), &st), 0);
  return st;
}

}  // namespace

MOUNT_TEST("the directory lists data, README.txt and .galleonfs_metadata") {
  MountedVolume v;
  for (int round = 0; round < 2; round++) {
    std::set<std::string> names;
    DIR* dir = opendir(v.dir.path.c_str());
    CHECK(dir != nullptr);
    while (const dirent* e = readdir(dir)) {
      CHECK(names.insert(e->d_name).second);
      if (e->d_name[0] != '.' || e->d_name[1] == 'g') CHECK_EQ(e->d_type, DT_REG);
    }
    closedir(dir);
    CHECK(names == (std::set<std::string>{".", "..", "data", "README.txt", ".galleonfs_metadata"}));
  }
  CHECK_EQ(shell("ls -la " + v.dir.path + " >/dev/null"), 0);
  CHECK_EQ(failure(open(v.path("other").c_str(), O_RDONLY)), ENOENT);
}

MOUNT_TEST("attributes come from the volume and the mount options") {
  MountedVolume v([](auto& o) {
    o.uid = 1234;
    o.gid = 2345;
    o.file_mode = 0640;
  });
  struct stat data = stat_of(v.path());
  CHECK_EQ(data.st_mode, static_cast<mode_t>(S_IFREG | 0640));
  CHECK_EQ(data.st_uid, 1234u);
  CHECK_EQ(data.st_gid, 2345u);
  CHECK_EQ(data.st_size, static_cast<off_t>(MountedVolume::kSize));
  CHECK_EQ(data.st_blocks, 0);
  CHECK_EQ(stat_of(v.dir.path).st_mode, static_cast<mode_t>(S_IFDIR | 0750));
  CHECK_EQ(stat_of(v.path("README.txt")).st_mode, static_cast<mode_t>(S_IFREG | 0440));
  int fd = v.open();
  char block[4096] = {1};
  CHECK_EQ(pwrite(fd, block, sizeof block, 0), 4096);
  CHECK_EQ(stat_of(v.path()).st_blocks, 8);
  close(fd);
}

MOUNT_TEST("texts are read as given and replaced while mounted") {
  MountedVolume v;
  CHECK_EQ(text(v.path("README.txt")), std::string("Read me.\n"));
  CHECK_EQ(text(v.path(".galleonfs_metadata")), std::string("{}\n"));
  CHECK_EQ(v.command('r'), 'k');
  CHECK_EQ(text(v.path("README.txt")), std::string("Another text, a longer one.\n"));
  CHECK_EQ(text(v.path(".galleonfs_metadata")), std::string("{\"a\":1}\n"));
  CHECK_EQ(stat_of(v.path(".galleonfs_metadata")).st_size, 8);
  CHECK_EQ(failure(v.open(O_WRONLY, "README.txt")), EACCES);
  CHECK_EQ(failure(truncate(v.path("README.txt").c_str(), 0)), EPERM);
}

MOUNT_TEST("names can be neither made nor removed") {
  MountedVolume v;
  std::string other = v.path("other"), data = v.path();
  CHECK_EQ(failure(open(other.c_str(), O_CREAT | O_WRONLY, 0600)), EPERM);
  CHECK_EQ(failure(mkdir(other.c_str(), 0700)), EPERM);
  CHECK_EQ(failure(mknod(other.c_str(), S_IFIFO | 0600, 0)), EPERM);
  CHECK_EQ(failure(unlink(data.c_str())), EPERM);
  CHECK_EQ(failure(rename(data.c_str(), other.c_str())), EPERM);
  CHECK_EQ(failure(link(data.c_str(), other.c_str())), EPERM);
  CHECK_EQ(failure(symlink("x", other.c_str())), EPERM);
  CHECK_EQ(failure(rmdir(data.c_str())), ENOTDIR);
  v.device.shared().read_only = true;
  CHECK_EQ(failure(unlink(data.c_str())), EROFS);
}

MOUNT_TEST("mode and owner stay, times are kept") {
  MountedVolume v;
  const char* data = nullptr;
  std::string path = v.path();
  data = path.c_str();
  CHECK_EQ(failure(chmod(data, 0777)), EPERM);
  CHECK_EQ(chmod(data, 0600), 0);
  CHECK_EQ(failure(chown(data, 5, 5)), EPERM);
  CHECK_EQ(chown(data, 0, 0), 0);
  timespec times[2] = {{1'000'000'000, 5}, {1'234'567'890, 123'456'789}};
  CHECK_EQ(utimensat(AT_FDCWD, data, times, 0), 0);
  CHECK_EQ(stat_of(path).st_mtim.tv_sec, 1'234'567'890);
  CHECK_EQ(stat_of(path).st_mtim.tv_nsec, 123'456'789);
  CHECK_EQ(shell("touch " + path), 0);
  CHECK(stat_of(path).st_mtim.tv_sec > 1'234'567'890);
}

MOUNT_TEST("statfs tells the volume's size and what is free") {
  MountedVolume v;
  struct statvfs st;
  CHECK_EQ(statvfs(v.dir.path.c_str(), &st), 0);
  CHECK_EQ(st.f_blocks * st.f_frsize, MountedVolume::kSize);
  CHECK_EQ(st.f_bfree, st.f_blocks);
  int fd = v.open();
  CHECK_EQ(pwrite(fd, "x", 1, 0), 1);
  close(fd);
  CHECK_EQ(statvfs(v.dir.path.c_str(), &st), 0);
  CHECK_EQ(st.f_bfree, st.f_blocks - 1);
}

MOUNT_TEST("there are no extended attributes, ioctls or locks of ours; flock works") {
  MountedVolume v;
  char buf[64];
  std::string path = v.path();
  CHECK_EQ(failure(getxattr(path.c_str(), "user.a", buf, sizeof buf)), ENODATA);
  CHECK_EQ(failure(getxattr(path.c_str(), "user.a", nullptr, 0)), ENODATA);
  CHECK_EQ(listxattr(path.c_str(), nullptr, 0), 0);
  CHECK_EQ(listxattr(path.c_str(), buf, sizeof buf), 0);
  CHECK_EQ(failure(setxattr(path.c_str(), "user.a", "b", 1, 0)), EOPNOTSUPP);
  int fd = v.open();
  CHECK_EQ(failure(ioctl(fd, 0x1234, buf)), ENOTTY);
  struct flock lock = {};
  lock.l_type = F_WRLCK;
  CHECK_EQ(fcntl(fd, F_SETLK, &lock), 0);
  pollfd p{fd, POLLIN | POLLOUT, 0};
  CHECK_EQ(poll(&p, 1, 1000), 1);
  close(fd);
}

MOUNT_TEST("access(2) follows the mode, and the server where the kernel does not check") {
  for (bool kernel_checks : {true, false}) {
    MountedVolume v([&](auto& o) { o.default_permissions = kernel_checks; });
    std::string path = v.path();
    CHECK_EQ(access(path.c_str(), R_OK | W_OK), 0);
    CHECK_EQ(failure(access(path.c_str(), X_OK)), EACCES);
    CHECK_EQ(access(v.dir.path.c_str(), X_OK), 0);
  }
}

CHECK_MAIN()
