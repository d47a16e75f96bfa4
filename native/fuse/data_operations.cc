// Operations on the bytes of `data`, and reads of the text files.
#include <fcntl.h>
#include <linux/falloc.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "volume_directory.h"

namespace galleonfs::fuse {
namespace {

// One COPY_FILE_RANGE reply; the kernel holds the inode lock meanwhile and the caller asks again for the rest.
constexpr uint64_t kCopyMax = 8 * kTransferMax;

template <class T>
Reply reply_with(std::byte* body, const T& value) noexcept {
  std::memcpy(body, &value, sizeof value);
  return {0, sizeof value};
}

bool overlaps(uint64_t a, uint64_t b, uint64_t length) noexcept { return a < b ? b - a < length : a - b < length; }

}  // namespace

// READ. Valid replies: the bytes asked for, fewer only at the end, none beyond it; EIO, EISDIR, ENOENT.
Reply VolumeDirectory::read(const Request& request, std::byte* body) noexcept {
  const fuse_read_in& in = request.read;
  switch (request.header.nodeid) {
    case kDataNode: break;
    case kReadmeNode:
    case kMetadataNode: return read_text(text_of(request.header.nodeid), request, body);
    case kRootNode: return {EISDIR};
    default: return {ENOENT};
  }
  uint64_t size = device_.size_bytes();
  if (in.offset >= size) return {};
  size_t length = static_cast<size_t>(std::min<uint64_t>(in.size, size - in.offset));
  if (int error = device_.read(in.offset, body, length)) return {error};
  counters_.read_bytes(length);
  return {0, length};
}

Reply VolumeDirectory::read_text(const Text& text, const Request& request, std::byte* body) noexcept {
  if (request.read.offset >= text->size()) return {};
  size_t length = std::min<size_t>(request.read.size, text->size() - request.read.offset);
  std::memcpy(body, text->data() + request.read.offset, length);
  return {0, length};
}

// WRITE. Valid replies: fuse_write_out with as much as fits before the end, ENOSPC when nothing does (as a block device
// answers), EROFS, EIO, EACCES (text files), EISDIR, ENOENT. With O_SYNC, O_DSYNC or the sync option the bytes are durable.
Reply VolumeDirectory::write(const Request& request, std::byte* body) noexcept {
  const fuse_write_in& in = request.write;
  if (request.header.nodeid != kDataNode) {
    if (request.header.nodeid == kRootNode) return {EISDIR};
    return {request.header.nodeid == kReadmeNode || request.header.nodeid == kMetadataNode ? EACCES : ENOENT};
  }
  if (!writable()) return {EROFS};
  fuse_write_out out{};
  if (in.size == 0) return reply_with(body, out);
  uint64_t size = device_.size_bytes();
  if (in.offset >= size) return {ENOSPC};
  size_t length = static_cast<size_t>(std::min<uint64_t>(in.size, size - in.offset));
  if (int error = device_.write(in.offset, request.payload, length, durable(request))) return {error};
  touch();
  counters_.written_bytes(length);
  out.size = static_cast<uint32_t>(length);
  return reply_with(body, out);
}

// FSYNC (fdatasync is the same here). Valid replies: 0 once all acknowledged writes are durable; EIO, EROFS after a
// failed flush. A text file has nothing to flush.
Reply VolumeDirectory::fsync(const Request& request) noexcept {
  uint64_t node = request.header.nodeid;
  if (node == kReadmeNode || node == kMetadataNode) return {};
  return {device_.flush()};
}

// SETATTR with a size. Valid replies: 0, EINVAL, EPERM, EROFS (checked by the caller), EIO, ENOSPC.
int VolumeDirectory::truncate(uint64_t size) noexcept {
  uint64_t end = device_.size_bytes();
  if (size > end) return EINVAL;
  if (size == end || options_.truncate == TruncatePolicy::ignore) return 0;
  if (options_.truncate == TruncatePolicy::refuse) return EPERM;
  if (int error = device_.discard(size, end - size)) return error;
  touch();
  return options_.sync ? device_.flush() : 0;
}

bool VolumeDirectory::discarded_by_truncate(const Request& request, uint64_t& from) const noexcept {
  if (request.header.opcode != FUSE_SETATTR || !(request.setattr.valid & FATTR_SIZE)) return false;
  if (options_.truncate != TruncatePolicy::discard) return false;
  from = request.setattr.size;
  return from < device_.size_bytes();
}

// FALLOCATE. Valid replies: 0, EFBIG (would grow), EOPNOTSUPP (collapse, insert, unshare), EROFS, EACCES, EIO, ENOSPC.
// Plain allocation inside the size succeeds without reserving: the volume is thin. Punched and zeroed ranges are
// discarded; like any file's, they may reach beyond the end when the size is kept.
Reply VolumeDirectory::fallocate(const Request& request) noexcept {
  const fuse_fallocate_in& in = request.fallocate;
  if (request.header.nodeid != kDataNode) return {EACCES};
  if (!writable()) return {EROFS};
  const bool keep = in.mode & FALLOC_FL_KEEP_SIZE;
  const uint32_t what = in.mode & ~static_cast<uint32_t>(FALLOC_FL_KEEP_SIZE);
  if (what != 0 && what != FALLOC_FL_PUNCH_HOLE && what != FALLOC_FL_ZERO_RANGE) return {EOPNOTSUPP};
  if (what == FALLOC_FL_PUNCH_HOLE && !keep) return {EOPNOTSUPP};
  if (in.length == 0) return {EINVAL};

  uint64_t size = device_.size_bytes();
  bool beyond = in.offset > size || in.length > size - in.offset;
  if (beyond && (what == 0 || !keep)) return {EFBIG};
  if (what == 0 || in.offset >= size) return {};
  if (int error = device_.discard(in.offset, std::min(in.length, size - in.offset))) return {error};
  touch();
  return {options_.sync ? device_.flush() : 0};
}

// LSEEK (SEEK_DATA and SEEK_HOLE; the kernel answers the others). Valid replies: fuse_lseek_out, ENXIO, EINVAL, EIO.
Reply VolumeDirectory::lseek(const Request& request, std::byte* body) noexcept {
  const fuse_lseek_in& in = request.lseek;
  if (in.whence != SEEK_DATA && in.whence != SEEK_HOLE) return {EINVAL};
  uint64_t size = request.header.nodeid == kDataNode ? device_.size_bytes() : 0;
  if (request.header.nodeid == kReadmeNode || request.header.nodeid == kMetadataNode) {
    size = text_of(request.header.nodeid)->size();
  }
  if (in.offset >= size) return {ENXIO};
  fuse_lseek_out out{};
  if (request.header.nodeid == kDataNode) {
    if (int error = device_.seek(in.offset, in.whence == SEEK_DATA, &out.offset)) return {error};
  } else {
    out.offset = in.whence == SEEK_DATA ? in.offset : size;
  }
  return reply_with(body, out);
}

// COPY_FILE_RANGE within `data`. Valid replies: fuse_write_out with the bytes copied (fewer than asked: ask again; 0 at
// the end), EXDEV (other files: the kernel then copies by read and write), EINVAL (overlap, flags), EROFS, ENOSPC, EIO.
Reply VolumeDirectory::copy_file_range(const Request& request, std::byte* body) noexcept {
  const fuse_copy_file_range_in& in = request.copy;
  if (request.header.nodeid != kDataNode || in.nodeid_out != kDataNode) return {EXDEV};
  if (in.flags != 0) return {EINVAL};
  if (!writable()) return {EROFS};
  uint64_t size = device_.size_bytes();
  fuse_write_out out{};
  if (in.off_in >= size || in.len == 0) return reply_with(body, out);
  if (in.off_out >= size) return {ENOSPC};
  uint64_t length = std::min({in.len, size - in.off_in, size - in.off_out, kCopyMax});
  if (overlaps(in.off_in, in.off_out, length)) return {EINVAL};

  uint64_t copied = 0;
  int error = 0;
  while (copied < length && error == 0) {
    size_t chunk = static_cast<size_t>(std::min<uint64_t>(length - copied, kTransferMax));
    error = device_.read(in.off_in + copied, body, chunk);
    if (error == 0) error = device_.write(in.off_out + copied, body, chunk, options_.sync);
    if (error == 0) copied += chunk;
  }
  if (copied > 0) touch();
  if (copied == 0 && error != 0) return {error};
  counters_.read_bytes(copied);
  counters_.written_bytes(copied);
  out.size = static_cast<uint32_t>(copied);
  return reply_with(body, out);
}

}  // namespace galleonfs::fuse
