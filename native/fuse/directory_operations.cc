// Names and attributes of a volume's directory.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>

#include "volume_directory.h"

namespace galleonfs::fuse {
namespace {

struct Entry {
  std::string_view name;
  uint64_t node;
  uint32_t type;
};

// In the order readdir shows them; an entry's offset is its index + 1.
constexpr Entry kEntries[] = {
    {".", kRootNode, DT_DIR},           {"..", kRootNode, DT_DIR},
    {"data", kDataNode, DT_REG},        {"README.txt", kReadmeNode, DT_REG},
    {".galleonfs_metadata", kMetadataNode, DT_REG},
};

constexpr uint64_t kEntryValidSeconds = 3600;  // names never change
constexpr uint64_t kSectorBytes = 512;         // the unit of st_blocks

template <class T>
Reply reply_with(std::byte* body, const T& value) noexcept {
  std::memcpy(body, &value, sizeof value);
  return {0, sizeof value};
}

void set_time(uint64_t& seconds, uint32_t& nanoseconds, int64_t ns) noexcept {
  int64_t rest = ns % 1'000'000'000;
  if (rest < 0) rest += 1'000'000'000;
  seconds = static_cast<uint64_t>((ns - rest) / 1'000'000'000);
  nanoseconds = static_cast<uint32_t>(rest);
}

// What a 64-bit count of nanoseconds cannot hold (beyond the year 2262) stays at its end.
int64_t to_ns(uint64_t seconds, uint32_t nanoseconds) noexcept {
  constexpr int64_t kLimit = INT64_MAX / 1'000'000'000 - 1;
  int64_t s = std::clamp(static_cast<int64_t>(seconds), -kLimit, kLimit);
  return s * 1'000'000'000 + std::min(nanoseconds, 999'999'999u);
}

mode_t searchable(mode_t file_mode) noexcept { return file_mode | (file_mode & 0444) >> 2; }

}  // namespace

bool VolumeDirectory::attributes(uint64_t node, fuse_attr& attr) const noexcept {
  std::memset(&attr, 0, sizeof attr);
  attr.ino = node;
  attr.nlink = 1;
  attr.uid = options_.uid;
  attr.gid = options_.gid;
  attr.blksize = kPageBytes;
  int64_t accessed = mounted_ns_, modified = mounted_ns_;
  switch (node) {
    case kRootNode: {
      mode_t mode = options_.directory_mode ? options_.directory_mode : searchable(options_.file_mode);
      attr.mode = S_IFDIR | (mode & 0777);
      attr.nlink = 2;
      break;
    }
    case kDataNode:
      attr.mode = S_IFREG | (options_.file_mode & 0777);
      attr.size = device_.size_bytes();
      attr.blocks = device_.allocated_bytes() / kSectorBytes;
      accessed = accessed_ns_.load(std::memory_order_relaxed);
      modified = modified_ns_.load(std::memory_order_relaxed);
      break;
    case kReadmeNode:
    case kMetadataNode:
      attr.mode = S_IFREG | (options_.file_mode & 0444);
      attr.size = text_of(node)->size();
      attr.blocks = (attr.size + kSectorBytes - 1) / kSectorBytes;
      break;
    default: return false;
  }
  set_time(attr.atime, attr.atimensec, accessed);
  set_time(attr.mtime, attr.mtimensec, modified);
  set_time(attr.ctime, attr.ctimensec, modified);
  return true;
}

// LOOKUP. Valid replies: fuse_entry_out, ENOENT, ENOTDIR.
Reply VolumeDirectory::lookup(const Request& request, std::byte* body) noexcept {
  if (request.header.nodeid != kRootNode) return {ENOTDIR};
  for (const Entry& entry : kEntries) {
    if (entry.name != request.name) continue;
    fuse_entry_out out{};
    out.nodeid = entry.node;
    out.entry_valid = kEntryValidSeconds;
    out.attr_valid = attr_valid_seconds(entry.node);
    attributes(entry.node, out.attr);
    return reply_with(body, out);
  }
  return {ENOENT};
}

// GETATTR. Valid replies: fuse_attr_out, ENOENT.
Reply VolumeDirectory::getattr(const Request& request, std::byte* body) noexcept {
  fuse_attr_out out{};
  if (!attributes(request.header.nodeid, out.attr)) return {ENOENT};
  out.attr_valid = attr_valid_seconds(request.header.nodeid);
  return reply_with(body, out);
}

// SETATTR. Valid replies: fuse_attr_out (data's size in it is unchanged whatever was asked), EPERM (mode or owner would
// change; text files; truncate=refuse), EROFS, EINVAL (a size beyond the end), ENOENT, EIO and ENOSPC from the device.
// Times of `data` are kept in memory; other times are accepted and forgotten.
Reply VolumeDirectory::setattr(const Request& request, std::byte* body) noexcept {
  const fuse_setattr_in& in = request.setattr;
  fuse_attr now;
  if (!attributes(request.header.nodeid, now)) return {ENOENT};
  if (!writable()) return {EROFS};
  if ((in.valid & FATTR_MODE && (in.mode & 07777) != (now.mode & 07777)) || (in.valid & FATTR_UID && in.uid != now.uid) ||
      (in.valid & FATTR_GID && in.gid != now.gid)) {
    return {EPERM};
  }
  if (in.valid & FATTR_SIZE) {
    if (request.header.nodeid != kDataNode) return {EPERM};
    if (int error = truncate(in.size)) return {error};
  }
  if (request.header.nodeid == kDataNode) {
    if (in.valid & FATTR_ATIME) accessed_ns_.store(to_ns(in.atime, in.atimensec), std::memory_order_relaxed);
    if (in.valid & FATTR_MTIME) modified_ns_.store(to_ns(in.mtime, in.mtimensec), std::memory_order_relaxed);
  }
  return getattr(request, body);
}

// OPEN. Valid replies: fuse_open_out, EROFS, EACCES (writing a text file), EISDIR, ENOENT.
// Text files are read directly, so that a replaced text is seen at once and whatever its length.
Reply VolumeDirectory::open(const Request& request, std::byte* body) noexcept {
  bool writing = (request.open.flags & O_ACCMODE) != O_RDONLY;
  fuse_open_out out{};
  switch (request.header.nodeid) {
    case kRootNode: return {EISDIR};
    case kDataNode:
      if (writing && !writable()) return {EROFS};
      out.open_flags = data_open_flags_.load(std::memory_order_relaxed);
      return reply_with(body, out);
    case kReadmeNode:
    case kMetadataNode:
      if (writing) return {EACCES};
      out.open_flags = FOPEN_DIRECT_IO;
      return reply_with(body, out);
    default: return {ENOENT};
  }
}

// OPENDIR. Valid replies: fuse_open_out, ENOTDIR.
Reply VolumeDirectory::opendir(const Request& request, std::byte* body) noexcept {
  if (request.header.nodeid != kRootNode) return {ENOTDIR};
  return reply_with(body, fuse_open_out{});
}

// READDIR, READDIRPLUS. Valid replies: entries from `offset` on that fit, none at the end, ENOTDIR.
Reply VolumeDirectory::readdir(const Request& request, std::byte* body, bool plus) noexcept {
  if (request.header.nodeid != kRootNode) return {ENOTDIR};
  const size_t head = plus ? sizeof(fuse_direntplus) : sizeof(fuse_dirent);
  size_t used = 0;
  for (uint64_t i = request.read.offset; i < std::size(kEntries); i++) {
    const Entry& entry = kEntries[i];
    size_t bytes = FUSE_DIRENT_ALIGN(head + entry.name.size());
    if (used + bytes > request.read.size) break;
    std::byte* at = body + used;
    std::memset(at, 0, bytes);
    if (plus) {
      fuse_entry_out out{};
      // "." and ".." carry no node: the kernel must not take a reference for them.
      if (i >= 2) {
        out.nodeid = entry.node;
        out.entry_valid = kEntryValidSeconds;
        out.attr_valid = attr_valid_seconds(entry.node);
        attributes(entry.node, out.attr);
      }
      std::memcpy(at, &out, sizeof out);
    }
    fuse_dirent dirent{};
    dirent.ino = entry.node;
    dirent.off = i + 1;
    dirent.namelen = static_cast<uint32_t>(entry.name.size());
    dirent.type = entry.type;
    std::byte* dirent_at = at + (head - FUSE_NAME_OFFSET);
    std::memcpy(dirent_at, &dirent, FUSE_NAME_OFFSET);
    std::memcpy(dirent_at + FUSE_NAME_OFFSET, entry.name.data(), entry.name.size());
    used += bytes;
  }
  return {0, used};
}

// STATFS. Valid reply: fuse_statfs_out. Free is what has not been written; the volume's own limit, not the disk's.
Reply VolumeDirectory::statfs(std::byte* body) noexcept {
  fuse_statfs_out out{};
  uint64_t size = device_.size_bytes();
  uint64_t allocated = std::min(device_.allocated_bytes(), size);
  out.st.bsize = out.st.frsize = kPageBytes;
  out.st.blocks = size / kPageBytes;
  out.st.bfree = out.st.bavail = (size - allocated) / kPageBytes;
  out.st.files = std::size(kEntries) - 1;
  out.st.namelen = 255;
  return reply_with(body, out);
}

// ACCESS (asked only without default_permissions). Valid replies: 0, EROFS, EACCES, ENOENT.
Reply VolumeDirectory::access(const Request& request) noexcept {
  uint64_t node = request.header.nodeid;
  if (node < kRootNode || node > kMetadataNode) return {ENOENT};
  if (request.access.mask & W_OK) {
    if (!writable()) return {EROFS};
    if (node != kDataNode) return {EACCES};
  }
  if (request.access.mask & X_OK && node != kRootNode) return {EACCES};
  return {};
}

// GETXATTR. Valid replies: ENODATA, ENOENT. Nothing has extended attributes.
Reply VolumeDirectory::getxattr(const Request& request) noexcept {
  uint64_t node = request.header.nodeid;
  return {node < kRootNode || node > kMetadataNode ? ENOENT : ENODATA};
}

// LISTXATTR. Valid replies: fuse_getxattr_out with size 0 when asked for the size, else an empty list.
Reply VolumeDirectory::listxattr(const Request& request, std::byte* body) noexcept {
  if (request.getxattr.size == 0) return reply_with(body, fuse_getxattr_out{});
  return {};
}

}  // namespace galleonfs::fuse
