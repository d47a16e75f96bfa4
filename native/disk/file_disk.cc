#include "file_disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

#include "guarded_copy.h"

namespace galleonfs::disk {
namespace {

class FileOnDisk final : public File {
 public:
  explicit FileOnDisk(int buffered) : buffered_(buffered) {}
  ~FileOnDisk() override {
    ::close(buffered_);
    FileOnDisk::end_small_writes();
  }
  FileOnDisk(const FileOnDisk&) = delete;
  FileOnDisk& operator=(const FileOnDisk&) = delete;

  int read(uint64_t offset, void* into, size_t length) noexcept override {
    return read_all(buffered_, offset, into, length);
  }

  int read_medium(uint64_t offset, void* into, size_t length) noexcept override {
    // Where the file system has no direct I/O (tmpfs), its page cache is the medium.
    const int direct = open_direct(O_RDONLY);
    if (direct < 0) return read(offset, into, length);
    auto* const address = static_cast<std::byte*>(into);
    if ((offset | length | reinterpret_cast<uintptr_t>(address)) % kDirectAlign == 0) {
      const int error = read_all(direct, offset, address, length, true);
      ::close(direct);
      return error == EINVAL ? read(offset, address, length) : error;
    }
    const std::unique_ptr<std::byte, void (*)(void*)> bounce(
        static_cast<std::byte*>(std::aligned_alloc(kDirectAlign, kBounceBytes)), std::free);
    int error = bounce == nullptr ? ENOMEM : 0;
    auto* at = static_cast<std::byte*>(into);
    while (length > 0 && error == 0) {
      const uint64_t from = offset / kDirectAlign * kDirectAlign;
      const uint64_t skip = offset - from;
      const size_t n = std::min<uint64_t>(length, kBounceBytes - skip);
      const size_t wanted = (skip + n + kDirectAlign - 1) / kDirectAlign * kDirectAlign;
      error = read_all(direct, from, bounce.get(), wanted, true);
      if (error != 0) break;
      std::memcpy(at, bounce.get() + skip, n);
      at += n;
      offset += n;
      length -= n;
    }
    ::close(direct);
    return error == EINVAL ? read(offset, at, length) : error;
  }

  int write(uint64_t offset, const void* from, size_t length) noexcept override {
    std::byte* mapped = mapped_.load(std::memory_order_acquire);
    if (mapped != nullptr && offset >= map_offset_ && offset + length <= map_offset_ + map_length_) {
      return guarded_copy(mapped + (offset - map_offset_), from, length);
    }
    return write_all(buffered_, offset, from, length);
  }

  int write_direct(uint64_t offset, const void* from, size_t length) noexcept override {
    const int direct = open_direct(O_RDWR);
    if (direct < 0) return write(offset, from, length);
    const int error = write_all(direct, offset, from, length);
    ::close(direct);
    // A file system may refuse an alignment it does not like; the page cache takes anything.
    return error == EINVAL ? write(offset, from, length) : error;
  }

  // A store into a mapping costs no system call and, unlike pwrite(), does not wait for direct writes to the same file
  // (ext4 takes the inode's lock exclusively for a buffered write, shared for a direct one).
  void expect_small_writes(uint64_t offset, uint64_t length) noexcept override {
    if (mapped_.load(std::memory_order_relaxed) != nullptr) return;
    void* mapped = ::mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED, buffered_, static_cast<off_t>(offset));
    if (mapped == MAP_FAILED) return;
    (void)::madvise(mapped, length, MADV_POPULATE_WRITE);
    map_offset_ = offset;
    map_length_ = length;
    mapped_.store(static_cast<std::byte*>(mapped), std::memory_order_release);
  }

  void end_small_writes() noexcept override {
    if (std::byte* mapped = mapped_.exchange(nullptr)) ::munmap(mapped, map_length_);
  }

  int sync() noexcept override { return ::fdatasync(buffered_) == 0 ? 0 : errno; }

  void start_writeback(uint64_t offset, uint64_t length) noexcept override {
    (void)::sync_file_range(buffered_, static_cast<off64_t>(offset), static_cast<off64_t>(length),
                            SYNC_FILE_RANGE_WRITE);
  }

  int reserve(uint64_t length) noexcept override {
    while (::fallocate(buffered_, 0, 0, static_cast<off_t>(length)) != 0) {
      if (errno == EINTR) continue;
      return errno;
    }
    return 0;
  }

  int size(uint64_t* bytes) noexcept override {
    struct stat status {};
    if (::fstat(buffered_, &status) != 0) return errno;
    *bytes = static_cast<uint64_t>(status.st_size);
    return 0;
  }

 private:
  static constexpr size_t kDirectAlign = 4096;
  static constexpr size_t kBounceBytes = 1 << 20;

  // A descriptor of its own, for the moment: few files are ever reached like this.
  int open_direct(int access) const noexcept {
    char path[32];
    std::snprintf(path, sizeof path, "/proc/self/fd/%d", buffered_);
    return ::open(path, access | O_CLOEXEC | O_DIRECT);
  }

  static int read_all(int descriptor, uint64_t offset, void* into, size_t length, bool direct = false) noexcept {
    auto* at = static_cast<char*>(into);
    while (length > 0) {
      const ssize_t n = ::pread(descriptor, at, length, static_cast<off_t>(offset));
      if (n < 0) {
        if (errno == EINTR) continue;
        return errno;
      }
      // A direct read ends at an odd byte only at the end of the file, and could not go on from there.
      if (n == 0 || (direct && n % 512 != 0)) {
        std::memset(at + n, 0, length - static_cast<size_t>(n));
        return 0;
      }
      at += n;
      offset += static_cast<uint64_t>(n);
      length -= static_cast<size_t>(n);
    }
    return 0;
  }

  static int write_all(int descriptor, uint64_t offset, const void* from, size_t length) noexcept {
    const auto* at = static_cast<const char*>(from);
    while (length > 0) {
      const ssize_t n = ::pwrite(descriptor, at, length, static_cast<off_t>(offset));
      if (n < 0) {
        if (errno == EINTR) continue;
        return errno;
      }
      if (n == 0) return EIO;
      at += n;
      offset += static_cast<uint64_t>(n);
      length -= static_cast<size_t>(n);
    }
    return 0;
  }

  int buffered_;
  std::atomic<std::byte*> mapped_{nullptr};  // set after the two below
  uint64_t map_offset_ = 0;
  uint64_t map_length_ = 0;
};

class DirectoryDisk final : public Disk {
 public:
  DirectoryDisk(int directory, std::string path, Access access)
      : directory_(directory), path_(std::move(path)), access_(access) {}
  ~DirectoryDisk() override { ::close(directory_); }  // releases the lock
  DirectoryDisk(const DirectoryDisk&) = delete;
  DirectoryDisk& operator=(const DirectoryDisk&) = delete;

  int open(const std::string& name, bool create, std::unique_ptr<File>* file) noexcept override {
    const bool read_only = access_ == Access::read_only;
    if (read_only && create) return EROFS;
    const int flags = (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOFOLLOW | (create ? O_CREAT : 0);
    const int buffered = ::openat(directory_, name.c_str(), flags, 0600);
    if (buffered < 0) return errno;
    // Without this a random 4 KiB read drags its neighbourhood in; sequential front ends ask for 1 MiB at once.
    (void)::posix_fadvise(buffered, 0, 0, POSIX_FADV_RANDOM);
    file->reset(new (std::nothrow) FileOnDisk(buffered));
    if (*file == nullptr) {
      ::close(buffered);
      return ENOMEM;
    }
    return 0;
  }

  int remove(const std::string& name) noexcept override {
    if (access_ == Access::read_only) return EROFS;
    return ::unlinkat(directory_, name.c_str(), 0) == 0 ? 0 : errno;
  }

  int list(std::vector<std::string>* names) noexcept override {
    const int copy = ::openat(directory_, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (copy < 0) return errno;
    DIR* stream = ::fdopendir(copy);
    if (stream == nullptr) {
      const int error = errno;
      ::close(copy);
      return error;
    }
    names->clear();
    errno = 0;
    while (const dirent* entry = ::readdir(stream)) {
      const std::string name = entry->d_name;
      if (name != "." && name != "..") names->push_back(name);
      errno = 0;
    }
    const int error = errno;
    ::closedir(stream);
    return error;
  }

  int sync_directory() noexcept override { return ::fsync(directory_) == 0 ? 0 : errno; }

  int lock() noexcept override {
    if (::flock(directory_, LOCK_EX | LOCK_NB) == 0) return 0;
    return errno == EWOULDBLOCK ? EBUSY : errno;
  }

  std::string path() const override { return path_; }

 private:
  int directory_;
  std::string path_;
  Access access_;
};

}  // namespace

int open_directory(const std::string& path, std::unique_ptr<Disk>* disk, Access access) noexcept {
  const int directory = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return errno;
  disk->reset(new (std::nothrow) DirectoryDisk(directory, path, access));
  if (*disk == nullptr) {
    ::close(directory);
    return ENOMEM;
  }
  return 0;
}

}  // namespace galleonfs::disk
