// The directory a mounted volume shows, and what each request means on it:
//
//   node 1  .                    directory
//   node 2  data                 the volume: a regular file whose size never changes by writing or truncating
//   node 3  README.txt           read-only text, replaceable while mounted
//   node 4  .galleonfs_metadata  likewise
//
// Invariants: node ids are fixed and handles are 0, so a new process serves files opened under the old one without any
// table. Nothing is allocated per request. Every method may be called from any thread.
#pragma once
#include <atomic>
#include <memory>
#include <mutex>
#include <string>

#include "block_device.h"
#include "counters.h"
#include "options.h"
#include "protocol.h"

namespace galleonfs::fuse {

enum Node : uint64_t { kRootNode = FUSE_ROOT_ID, kDataNode = 2, kReadmeNode = 3, kMetadataNode = 4 };

struct Reply {
  int error = 0;      // positive errno; then there is no body
  size_t length = 0;  // bytes of body
};

// The group a request is counted under.
OpGroup group_of(const Request& request) noexcept;

class VolumeDirectory {
 public:
  VolumeDirectory(BlockDevice& device, const MountOptions& options);

  // Serves any request but INIT, DESTROY, INTERRUPT and the ones without reply. `body` holds kTransferMax bytes, is the
  // caller's alone during the call, and receives the reply's body; it is page-aligned on the serving path.
  Reply serve(const Request& request, std::byte* body) noexcept;

  // True when serving this request makes the device do more than move bytes to or from memory (flush, discard, long
  // copies), so that the caller should see to it that others are served meanwhile.
  bool may_take_long(const Request& request) const noexcept;

  // Range of `data` a served SETATTR discarded and whose cached pages the kernel will not drop by itself.
  bool discarded_by_truncate(const Request& request, uint64_t& from) const noexcept;

  // In force for files opened from now on; set once INIT told whether direct I/O can live with mmap.
  void set_direct_io(bool direct) noexcept;

  void set_readme(std::string text) { set_text(readme_, std::move(text)); }
  void set_metadata(std::string text) { set_text(metadata_, std::move(text)); }

  const Counters& counters() const noexcept { return counters_; }
  Counters& counters() noexcept { return counters_; }

 private:
  using Text = std::shared_ptr<const std::string>;

  // operations on names and attributes: directory_operations.cc
  Reply lookup(const Request& request, std::byte* body) noexcept;
  Reply getattr(const Request& request, std::byte* body) noexcept;
  Reply setattr(const Request& request, std::byte* body) noexcept;
  Reply open(const Request& request, std::byte* body) noexcept;
  Reply opendir(const Request& request, std::byte* body) noexcept;
  Reply readdir(const Request& request, std::byte* body, bool plus) noexcept;
  Reply statfs(std::byte* body) noexcept;
  Reply access(const Request& request) noexcept;
  Reply getxattr(const Request& request) noexcept;
  Reply listxattr(const Request& request, std::byte* body) noexcept;

  // operations on bytes: data_operations.cc
  Reply read(const Request& request, std::byte* body) noexcept;
  Reply read_text(const Text& text, const Request& request, std::byte* body) noexcept;
  Reply write(const Request& request, std::byte* body) noexcept;
  Reply fsync(const Request& request) noexcept;
  Reply fallocate(const Request& request) noexcept;
  Reply lseek(const Request& request, std::byte* body) noexcept;
  Reply copy_file_range(const Request& request, std::byte* body) noexcept;
  int truncate(uint64_t size) noexcept;

  bool attributes(uint64_t node, fuse_attr& attr) const noexcept;
  bool writable() const noexcept { return !options_.read_only && !device_.read_only(); }
  bool durable(const Request& request) const noexcept;
  void touch() noexcept;
  void set_text(Text& text, std::string value);
  Text text_of(uint64_t node) const noexcept;
  uint64_t attr_valid_seconds(uint64_t node) const noexcept { return node == kDataNode || node == kRootNode ? 1 : 0; }

  BlockDevice& device_;
  const MountOptions options_;
  std::atomic<uint32_t> data_open_flags_;
  std::atomic<int64_t> accessed_ns_;  // times of `data`, since the epoch
  std::atomic<int64_t> modified_ns_;
  const int64_t mounted_ns_;
  mutable std::mutex texts_mutex_;
  Text readme_;    // under texts_mutex_
  Text metadata_;  // under texts_mutex_
  Counters counters_;
};

}  // namespace galleonfs::fuse
