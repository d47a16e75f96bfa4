// What programs see when they use a mounted volume's `data`.
#include <linux/falloc.h>
#include <sys/uio.h>

#include "fuse_fixture.h"

using namespace galleonfs;
using namespace galleonfs::check;

namespace {

constexpr uint64_t kMiB = 1 << 20;

std::vector<char> pattern(size_t n, unsigned seed) {
  std::vector<char> v(n);
  for (char& c : v) c = static_cast<char>((seed = seed * 1103515245 + 12345) >> 16);
  return v;
}

void put(int fd, const std::vector<char>& v, uint64_t offset) {
  CHECK_EQ(pwrite(fd, v.data(), v.size(), static_cast<off_t>(offset)), static_cast<ssize_t>(v.size()));
}

std::vector<char> get(int fd, size_t n, uint64_t offset) {
  std::vector<char> v(n);
  CHECK_EQ(pread(fd, v.data(), n, static_cast<off_t>(offset)), static_cast<ssize_t>(n));
  return v;
}

uint64_t file_size(int fd) {
  struct stat st;
  CHECK_EQ(fstat(fd, &st), 0);
  return static_cast<uint64_t>(st.st_size);
}

// The errno of a failed call; 0 when it did not fail.
template <class R>
int failure(R result) {
  return result == static_cast<R>(-1) ? errno : 0;
}

MountedVolume::Adjust with_cache(fuse::CacheMode cache) {
  return [cache](fuse::MountOptions& o) { o.cache = cache; };
}

}  // namespace

MOUNT_TEST("what is written is read back, at any offset and length") {
  for (auto cache : {fuse::CacheMode::direct, fuse::CacheMode::cached}) {
    MountedVolume v(with_cache(cache));
    int fd = v.open();
    CHECK(fd >= 0);
    uint64_t offset = 0;
    for (size_t n : {1ul, 511ul, 4096ul, 4097ul, 100'000ul, kMiB, 3 * kMiB + 17}) {
      auto data = pattern(n, static_cast<unsigned>(n));
      put(fd, data, offset);
      CHECK(get(fd, n, offset) == data);
      CHECK_EQ(memcmp(v.device.bytes() + offset, data.data(), n), 0);
      offset += n + 13;
    }
    close(fd);
  }
}

MOUNT_TEST("large aligned writes reach the device page-aligned") {
  MountedVolume v;
  int fd = v.open();
  void* from = aligned_alloc(4096, 4 * kMiB);
  memset(from, 1, 4 * kMiB);
  CHECK_EQ(pwrite(fd, from, 4 * kMiB, 0), static_cast<ssize_t>(4 * kMiB));
  free(from);
  CHECK_EQ(v.device.shared().unaligned_payloads.load(), 0);
  CHECK_EQ(v.device.shared().writes.load(), 4);
  close(fd);
}

MOUNT_TEST("a read stops at the end and finds nothing beyond it") {
  MountedVolume v;
  int fd = v.open();
  char buf[8192];
  CHECK_EQ(pread(fd, buf, sizeof buf, MountedVolume::kSize - 100), 100);
  CHECK_EQ(pread(fd, buf, sizeof buf, MountedVolume::kSize), 0);
  CHECK_EQ(pread(fd, buf, sizeof buf, MountedVolume::kSize + 5000), 0);
  close(fd);
}

MOUNT_TEST("a write is cut at the end and refused beyond it; appends too") {
  MountedVolume v;
  int fd = v.open();
  auto data = pattern(8192, 2);
  CHECK_EQ(pwrite(fd, data.data(), data.size(), MountedVolume::kSize - 4096), 4096);
  CHECK_EQ(failure(pwrite(fd, data.data(), data.size(), MountedVolume::kSize)), ENOSPC);
  CHECK_EQ(failure(pwrite(fd, data.data(), 1, MountedVolume::kSize + 12345)), ENOSPC);
  CHECK_EQ(file_size(fd), MountedVolume::kSize);
  int append = v.open(O_WRONLY | O_APPEND);
  CHECK_EQ(failure(write(append, "x", 1)), ENOSPC);
  CHECK_EQ(file_size(fd), MountedVolume::kSize);
  close(append);
  close(fd);
}

MOUNT_TEST("O_TRUNC discards everything and leaves the size") {
  for (auto cache : {fuse::CacheMode::direct, fuse::CacheMode::cached}) {
    MountedVolume v(with_cache(cache));
    int fd = v.open();
    put(fd, pattern(kMiB, 3), 0);
    (void)get(fd, kMiB, 0);  // into the page cache, where there is one
    int again = v.open(O_WRONLY | O_TRUNC);
    CHECK(again >= 0);
    CHECK_EQ(file_size(again), MountedVolume::kSize);
    CHECK_EQ(v.device.allocated_bytes(), 0);
    // Cached pages are dropped right after the reply, not before it.
    for (int i = 0; i < 100 && get(fd, kMiB, 0) != std::vector<char>(kMiB); i++) usleep(1000);
    CHECK(get(fd, kMiB, 0) == std::vector<char>(kMiB));
    close(again);
    close(fd);
  }
}

MOUNT_TEST("truncating to n discards from n, growing is EINVAL") {
  MountedVolume v;
  int fd = v.open();
  auto data = pattern(64 * 1024, 4);
  put(fd, data, 0);
  CHECK_EQ(ftruncate(fd, 10'000), 0);
  CHECK_EQ(file_size(fd), MountedVolume::kSize);
  auto expected = data;
  std::fill(expected.begin() + 10'000, expected.end(), 0);
  CHECK(get(fd, data.size(), 0) == expected);
  CHECK_EQ(ftruncate(fd, MountedVolume::kSize), 0);
  CHECK_EQ(failure(ftruncate(fd, MountedVolume::kSize + 1)), EINVAL);
  CHECK_EQ(file_size(fd), MountedVolume::kSize);
  close(fd);
}

MOUNT_TEST("truncate=ignore changes nothing, truncate=refuse is EPERM") {
  auto data = pattern(4096, 5);
  {
    MountedVolume v([](auto& o) { o.truncate = fuse::TruncatePolicy::ignore; });
    int fd = v.open();
    put(fd, data, 0);
    CHECK_EQ(ftruncate(fd, 0), 0);
    CHECK(get(fd, 4096, 0) == data);
    close(fd);
  }
  MountedVolume v([](auto& o) { o.truncate = fuse::TruncatePolicy::refuse; });
  int fd = v.open();
  put(fd, data, 0);
  CHECK_EQ(failure(ftruncate(fd, 0)), EPERM);
  CHECK_EQ(ftruncate(fd, MountedVolume::kSize), 0);
  CHECK(get(fd, 4096, 0) == data);
  close(fd);
}

MOUNT_TEST("a shell's redirection, cp and dd work on data") {
  MountedVolume v;
  std::string data = v.path();
  CHECK_EQ(shell("echo hello > " + data), 0);
  CHECK_EQ(memcmp(v.device.bytes(), "hello\n\0", 7), 0);
  TempDir t;
  std::string source = t.path + "/sparse";
  CHECK_EQ(shell("truncate -s 8M " + source + " && printf abc | dd of=" + source + " bs=1 seek=5000000 conv=notrunc 2>/dev/null"), 0);
  CHECK_EQ(shell("cp --sparse=always " + source + " " + data + " && cmp -n 8388608 " + source + " " + data), 0);
  CHECK(v.device.allocated_bytes() < kMiB);
  CHECK_EQ(shell("dd if=/dev/zero of=" + data + " bs=4k count=1 seek=100 2>/dev/null"), 0);
  CHECK_EQ(shell("cp " + data + " " + t.path + "/back && cmp " + t.path + "/back " + data), 0);
  shell("rm -f " + t.path + "/sparse " + t.path + "/back");
}

MOUNT_TEST("fallocate punches, zeroes and allocates inside the size, and never grows it") {
  MountedVolume v;
  int fd = v.open();
  put(fd, pattern(kMiB, 6), 0);
  CHECK_EQ(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 8192), 0);
  CHECK(get(fd, 8192, 4096) == std::vector<char>(8192));
  CHECK_EQ(fallocate(fd, FALLOC_FL_ZERO_RANGE, 20'000, 1000), 0);
  CHECK(get(fd, 1000, 20'000) == std::vector<char>(1000));
  CHECK_EQ(fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 65536, 4096), 0);
  CHECK_EQ(v.device.allocated_bytes(), kMiB - 3 * 4096);
  CHECK_EQ(fallocate(fd, 0, 0, MountedVolume::kSize), 0);
  CHECK_EQ(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 4096), 0);
  CHECK_EQ(posix_fallocate(fd, 0, kMiB), 0);
  CHECK_EQ(failure(fallocate(fd, 0, 0, MountedVolume::kSize + 1)), EFBIG);
  CHECK_EQ(failure(fallocate(fd, FALLOC_FL_ZERO_RANGE, MountedVolume::kSize - 1, 2)), EFBIG);
  CHECK_EQ(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, MountedVolume::kSize - 4096, 99'999), 0);
  CHECK_EQ(failure(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, 4096)), EOPNOTSUPP);
  CHECK_EQ(failure(fallocate(fd, FALLOC_FL_INSERT_RANGE, 0, 4096)), EOPNOTSUPP);
  CHECK_EQ(file_size(fd), MountedVolume::kSize);
  close(fd);
}

MOUNT_TEST("lseek finds data and holes") {
  MountedVolume v;
  int fd = v.open();
  CHECK_EQ(failure(lseek(fd, 0, SEEK_DATA)), ENXIO);
  put(fd, pattern(8192, 7), 40960);
  CHECK_EQ(lseek(fd, 0, SEEK_DATA), 40960);
  CHECK_EQ(lseek(fd, 0, SEEK_HOLE), 0);
  CHECK_EQ(lseek(fd, 41000, SEEK_DATA), 41000);
  CHECK_EQ(lseek(fd, 41000, SEEK_HOLE), 49152);
  CHECK_EQ(failure(lseek(fd, 49152, SEEK_DATA)), ENXIO);
  CHECK_EQ(failure(lseek(fd, MountedVolume::kSize, SEEK_HOLE)), ENXIO);
  CHECK_EQ(lseek(fd, 0, SEEK_END), static_cast<off_t>(MountedVolume::kSize));
  close(fd);
}

MOUNT_TEST("copy_file_range copies within the volume") {
  MountedVolume v;
  int fd = v.open();
  auto data = pattern(3 * kMiB, 8);
  put(fd, data, 100);
  off_t from = 100, to = 10 * kMiB;
  size_t left = data.size();
  while (left > 0) {
    ssize_t n = copy_file_range(fd, &from, fd, &to, left, 0);
    CHECK(n > 0);
    left -= static_cast<size_t>(n);
  }
  CHECK(get(fd, data.size(), 10 * kMiB) == data);
  from = MountedVolume::kSize - 4096, to = 0;
  CHECK_EQ(copy_file_range(fd, &from, fd, &to, 99'999, 0), 4096);
  close(fd);
}

MOUNT_TEST("a shared mapping writes through to the device at msync") {
  for (auto cache : {fuse::CacheMode::direct, fuse::CacheMode::cached}) {
    MountedVolume v(with_cache(cache));
    int fd = v.open();
    auto data = pattern(64 * 1024, 9);
    put(fd, data, 0);
    char* p = static_cast<char*>(mmap(nullptr, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    CHECK(p != MAP_FAILED);
    CHECK_EQ(memcmp(p, data.data(), data.size()), 0);
    auto other = pattern(4096, 10);
    memcpy(p + 8192, other.data(), other.size());
    CHECK_EQ(msync(p, 65536, MS_SYNC), 0);
    CHECK_EQ(memcmp(v.device.bytes() + 8192, other.data(), other.size()), 0);
    CHECK(v.device.shared().flushes.load() >= 1);
    CHECK(get(fd, 4096, 8192) == other);
    munmap(p, 65536);
    close(fd);
  }
}

MOUNT_TEST("fsync and fdatasync flush; a failed flush is reported") {
  MountedVolume v;
  int fd = v.open();
  put(fd, pattern(4096, 11), 0);
  CHECK_EQ(v.device.shared().flushes.load(), 0);
  CHECK_EQ(fsync(fd), 0);
  CHECK_EQ(fdatasync(fd), 0);
  CHECK_EQ(v.device.shared().flushes.load(), 2);
  v.device.shared().next_error = EIO;
  CHECK_EQ(failure(fsync(fd)), EIO);
  close(fd);
}

MOUNT_TEST("writes with O_DSYNC, O_SYNC or RWF_DSYNC, and all with sync, are durable before they return") {
  for (auto cache : {fuse::CacheMode::direct, fuse::CacheMode::cached}) {
    MountedVolume v(with_cache(cache));
    auto& tally = v.device.shared();
    char block[4096] = "x";
    int fd = v.open();
    CHECK_EQ(pwrite(fd, block, sizeof block, 0), 4096);
    CHECK_EQ(tally.durable_writes.load(), 0);
    iovec iov{block, sizeof block};
    CHECK_EQ(pwritev2(fd, &iov, 1, 0, RWF_DSYNC), 4096);
    CHECK(tally.durable_writes.load() == 1 || tally.flushes.load() >= 1);
    close(fd);
    for (int flag : {O_DSYNC, O_SYNC, O_DSYNC | O_DIRECT}) {
      uint64_t before = tally.durable_writes;
      fd = v.open(O_RDWR | flag);
      alignas(4096) char aligned[4096] = "y";
      CHECK_EQ(pwrite(fd, aligned, sizeof aligned, 0), 4096);
      CHECK_EQ(tally.durable_writes.load(), before + 1);
      close(fd);
    }
  }
  MountedVolume v([](auto& o) { o.sync = true; });
  int fd = v.open();
  CHECK_EQ(pwrite(fd, "z", 1, 0), 1);
  CHECK_EQ(v.device.shared().durable_writes.load(), 1);
  CHECK_EQ(ftruncate(fd, 0), 0);
  CHECK_EQ(v.device.shared().flushes.load(), 1);
  close(fd);
}

MOUNT_TEST("the device's errors reach the program") {
  MountedVolume v;
  int fd = v.open();
  char block[4096] = {};
  v.device.shared().next_error = EIO;
  CHECK_EQ(failure(pread(fd, block, sizeof block, 0)), EIO);
  v.device.shared().next_error = ENOSPC;
  CHECK_EQ(failure(pwrite(fd, block, sizeof block, 0)), ENOSPC);
  v.device.shared().next_error = EIO;
  CHECK_EQ(failure(ftruncate(fd, 0)), EIO);
  CHECK_EQ(pwrite(fd, block, sizeof block, 0), 4096);
  close(fd);
}

MOUNT_TEST("a device that turns read-only refuses writes and goes on reading") {
  MountedVolume v;
  int fd = v.open();
  put(fd, pattern(4096, 12), 0);
  v.device.shared().read_only = true;
  CHECK_EQ(failure(pwrite(fd, "x", 1, 0)), EROFS);
  CHECK_EQ(failure(ftruncate(fd, 0)), EROFS);
  CHECK_EQ(failure(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096)), EROFS);
  CHECK_EQ(failure(v.open(O_WRONLY)), EROFS);
  CHECK(get(fd, 4096, 0) == pattern(4096, 12));
  close(fd);
}

MOUNT_TEST("a read-only mount refuses writers") {
  MountedVolume v([](auto& o) { o.read_only = true; });
  CHECK_EQ(failure(v.open(O_RDWR)), EROFS);
  CHECK_EQ(failure(truncate(v.path().c_str(), 0)), EROFS);
  int fd = v.open(O_RDONLY);
  CHECK(fd >= 0);
  CHECK(get(fd, 4096, 0) == std::vector<char>(4096));
  close(fd);
}

CHECK_MAIN()
