#include "mount.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "fusermount.h"
#include "mount_table.h"
#include "protocol.h"

namespace galleonfs::fuse {
namespace {

std::string quoted(const std::string& s) { return "'" + s + "'"; }

Error mount_point_error(int errno_value, const std::string& path, const char* what) {
  return {errno_value, "FUSE_MOUNT_POINT", "The mount point " + quoted(path) + " " + what + "."};
}

// The table is asked first: looking into a dead mount fails or hangs.
Error check_mount_point(const std::string& given, std::string& path) {
  path = canonical_mount_point(given);
  if (path.empty()) return mount_point_error(ENOENT, given, "does not exist; create the directory first");
  if (auto there = find_mount(path)) {
    return {EBUSY, "FUSE_ALREADY_MOUNTED", "Something of type " + there->type + " is already mounted at " + quoted(path) +
                                               "; unmount it or choose another directory."};
  }
  struct stat st;
  if (lstat(path.c_str(), &st) != 0) {
    int e = errno;
    if (e == ENOENT) return mount_point_error(e, path, "does not exist; create the directory first");
    return mount_point_error(e, path, (std::string("cannot be examined: ") + strerror(e)).c_str());
  }
  if (!S_ISDIR(st.st_mode)) return mount_point_error(ENOTDIR, path, "is not a directory");
  DIR* dir = opendir(path.c_str());
  if (dir == nullptr) return mount_point_error(errno, path, "cannot be read");
  bool empty = true;
  while (const dirent* entry = readdir(dir)) {
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) empty = false;
  }
  closedir(dir);
  if (!empty) return mount_point_error(ENOTEMPTY, path, "is not empty; mounting would hide what is in it");
  return {};
}

std::string common_options(const MountOptions& options) {
  std::string text = "max_read=" + std::to_string(kTransferMax);
  if (options.allow_other) text += ",allow_other";
  if (options.default_permissions) text += ",default_permissions";
  return text;
}

Error open_device(int& fd) {
  fd = open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK);
  if (fd >= 0) return {};
  int e = errno;
  std::string why = strerror(e);
  if (e == ENOENT || e == ENODEV || e == ENXIO) {
    return {e, "FUSE_DEVICE_MISSING", "/dev/fuse cannot be opened (" + why + "); load the fuse module, or give the container the device."};
  }
  if (e == EACCES || e == EPERM) {
    return {e, "FUSE_NOT_PERMITTED", "/dev/fuse may not be opened (" + why + "); check its mode and the device rules of the container."};
  }
  return {e, "FUSE_RESOURCES", "/dev/fuse cannot be opened: " + why + "."};
}

Error mount_by_kernel(const MountOptions& options, Mounted& mounted) {
  int fd;
  if (Error error = open_device(fd)) return error;
  std::string data = "fd=" + std::to_string(fd) + ",rootmode=40000,user_id=" + std::to_string(geteuid()) +
                     ",group_id=" + std::to_string(getegid()) + "," + common_options(options);
  unsigned long flags = MS_NOSUID | MS_NODEV | (options.read_only ? MS_RDONLY : 0);
  if (mount(kMountSource, mounted.mount_point.c_str(), kMountType, flags, data.c_str()) == 0) {
    mounted.fd = fd;
    return {};
  }
  int e = errno;
  close(fd);
  if (e == EPERM || e == EACCES) {
    return {e, "FUSE_NOT_PERMITTED", "mount(2) at " + quoted(mounted.mount_point) + " was refused (" + strerror(e) + "); it needs CAP_SYS_ADMIN, or fusermount3."};
  }
  if (e == ENODEV) return {e, "FUSE_DEVICE_MISSING", "The kernel has no fuse filesystem; load the fuse module."};
  return {e, "FUSE_MOUNT_FAILED", "mount(2) at " + quoted(mounted.mount_point) + " failed: " + strerror(e) + "."};
}

Error mount_by_fusermount(const MountOptions& options, Mounted& mounted) {
  // fusermount3 opens the device itself; asking first gives a clearer answer than its own.
  if (access("/dev/fuse", F_OK) != 0) {
    return {errno, "FUSE_DEVICE_MISSING", "/dev/fuse does not exist; load the fuse module, or give the container the device."};
  }
  std::string text = std::string("fsname=") + kMountSource + ",subtype=galleonfs,nosuid,nodev," + common_options(options);
  if (options.read_only) text += ",ro";
  return fusermount_mount(mounted.mount_point, text, mounted.fd);
}

}  // namespace

Error mount_connection(const MountOptions& options, Mounted& mounted) {
  if (Error error = check_mount_point(options.mount_point, mounted.mount_point)) return error;
  Error error;
  if (options.method == MountMethod::fusermount) {
    error = mount_by_fusermount(options, mounted);
  } else {
    error = mount_by_kernel(options, mounted);
    if (error && options.method == MountMethod::automatic && strcmp(error.code, "FUSE_NOT_PERMITTED") == 0) {
      error = mount_by_fusermount(options, mounted);
    }
  }
  if (error) return error;
  if (auto there = find_mount(mounted.mount_point)) mounted.device = there->device;
  return {};
}

Error unmount_connection(const std::string& mount_point, const std::string& device, bool lazy) {
  auto there = find_mount(mount_point);
  if (!there || (!device.empty() && there->device != device)) return {};
  if (umount2(mount_point.c_str(), UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) == 0) return {};
  int e = errno;
  if (e == EPERM) return fusermount_unmount(mount_point, lazy);
  if (e == EINVAL || e == ENOENT) {
    // Someone else was faster.
    if (!find_mount(mount_point)) return {};
  }
  if (e == EBUSY) {
    return {e, "FUSE_BUSY", "Files below " + quoted(mount_point) + " are open; close them (fuser -vm shows who), or unmount lazily."};
  }
  return {e, "FUSE_UNMOUNT_FAILED", "Unmounting " + quoted(mount_point) + " failed: " + strerror(e) + "."};
}

}  // namespace galleonfs::fuse
