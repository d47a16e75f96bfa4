#include "volume_directory.h"

#include <fcntl.h>
#include <time.h>

#include <cerrno>

namespace galleonfs::fuse {
namespace {

int64_t now_ns() noexcept {
  timespec t;
  clock_gettime(CLOCK_REALTIME_COARSE, &t);  // no system call; a jiffy is exact enough for a timestamp
  return t.tv_sec * 1'000'000'000LL + t.tv_nsec;
}

}  // namespace

OpGroup group_of(const Request& request) noexcept {
  switch (request.header.opcode) {
    case FUSE_READ: return OpGroup::read;
    case FUSE_WRITE: return OpGroup::write;
    case FUSE_FSYNC:
    case FUSE_SYNCFS: return OpGroup::flush;
    case FUSE_FALLOCATE: return OpGroup::discard;
    case FUSE_SETATTR: return request.setattr.valid & FATTR_SIZE ? OpGroup::discard : OpGroup::metadata;
    case FUSE_LOOKUP:
    case FUSE_GETATTR:
    case FUSE_OPEN:
    case FUSE_OPENDIR:
    case FUSE_READDIR:
    case FUSE_READDIRPLUS:
    case FUSE_RELEASE:
    case FUSE_RELEASEDIR:
    case FUSE_STATFS:
    case FUSE_ACCESS: return OpGroup::metadata;
    default: return OpGroup::other;
  }
}

VolumeDirectory::VolumeDirectory(BlockDevice& device, const MountOptions& options)
    : device_(device),
      options_(options),
      data_open_flags_(0),
      accessed_ns_(now_ns()),
      modified_ns_(now_ns()),
      mounted_ns_(now_ns()),
      readme_(std::make_shared<const std::string>(options.readme)),
      metadata_(std::make_shared<const std::string>(options.metadata)) {
  set_direct_io(options.cache == CacheMode::direct);
}

void VolumeDirectory::set_direct_io(bool direct) noexcept {
  data_open_flags_.store(direct ? FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES : FOPEN_KEEP_CACHE,
                         std::memory_order_relaxed);
}

void VolumeDirectory::set_text(Text& text, std::string value) {
  auto next = std::make_shared<const std::string>(std::move(value));
  std::lock_guard lock(texts_mutex_);
  text.swap(next);
}

VolumeDirectory::Text VolumeDirectory::text_of(uint64_t node) const noexcept {
  std::lock_guard lock(texts_mutex_);
  return node == kReadmeNode ? readme_ : metadata_;
}

void VolumeDirectory::touch() noexcept { modified_ns_.store(now_ns(), std::memory_order_relaxed); }

// With direct I/O the kernel sends no FSYNC after an O_SYNC, O_DSYNC or RWF_DSYNC write: the write's flags carry it.
bool VolumeDirectory::durable(const Request& request) const noexcept {
  return options_.sync || (request.write.flags & (O_SYNC | O_DSYNC)) != 0;
}

bool VolumeDirectory::may_take_long(const Request& request) const noexcept {
  switch (request.header.opcode) {
    case FUSE_FSYNC:
    case FUSE_SYNCFS:
    case FUSE_FALLOCATE:
    case FUSE_LSEEK:
    case FUSE_COPY_FILE_RANGE: return true;
    case FUSE_SETATTR: return (request.setattr.valid & FATTR_SIZE) != 0;
    case FUSE_WRITE: return durable(request);
    default: return false;
  }
}

Reply VolumeDirectory::serve(const Request& request, std::byte* body) noexcept {
  switch (request.header.opcode) {
    case FUSE_READ: return read(request, body);
    case FUSE_WRITE: return write(request, body);
    case FUSE_LOOKUP: return lookup(request, body);
    case FUSE_GETATTR: return getattr(request, body);
    case FUSE_SETATTR: return setattr(request, body);
    case FUSE_OPEN: return open(request, body);
    case FUSE_OPENDIR: return opendir(request, body);
    case FUSE_READDIR: return readdir(request, body, false);
    case FUSE_READDIRPLUS: return readdir(request, body, true);
    case FUSE_STATFS: return statfs(body);
    case FUSE_ACCESS: return access(request);
    case FUSE_GETXATTR: return getxattr(request);
    case FUSE_LISTXATTR: return listxattr(request, body);
    case FUSE_FSYNC:
    case FUSE_SYNCFS: return fsync(request);
    case FUSE_FALLOCATE: return fallocate(request);
    case FUSE_LSEEK: return lseek(request, body);
    case FUSE_COPY_FILE_RANGE: return copy_file_range(request, body);

    // Handles carry no state and every acknowledged write is already with the device: nothing to do. Valid reply: 0.
    case FUSE_FLUSH:
    case FUSE_RELEASE:
    case FUSE_RELEASEDIR:
    case FUSE_FSYNCDIR: return {};

    // The directory's entries are fixed. Valid replies: EROFS, EPERM.
    case FUSE_CREATE:
    case FUSE_MKNOD:
    case FUSE_MKDIR:
    case FUSE_SYMLINK:
    case FUSE_LINK:
    case FUSE_UNLINK:
    case FUSE_RMDIR:
    case FUSE_RENAME:
    case FUSE_RENAME2:
    case FUSE_TMPFILE: return {writable() ? EPERM : EROFS};

    case FUSE_SETXATTR:
    case FUSE_REMOVEXATTR: return {EOPNOTSUPP};
    case FUSE_READLINK: return {EINVAL};
    case FUSE_IOCTL: return {ENOTTY};

    // ENOSYS tells the kernel not to ask again: POLL, BMAP, locks (it then keeps them itself), and what comes later.
    default: return {ENOSYS};
  }
}

}  // namespace galleonfs::fuse
