// The directory of the host as a disk, and a whole store on it.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <random>

#include "check.h"
#include "disk/file_disk.h"
#include "disk/guarded_copy.h"
#include "store/page_cache.h"
#include "store/store.h"

using namespace galleonfs;

namespace {

class Directory {
 public:
  Directory() {
    char path[] = "/tmp/galleonfs-test-XXXXXX";
    CHECK(mkdtemp(path) != nullptr);
    path_ = path;
  }
  ~Directory() { std::filesystem::remove_all(path_); }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  const std::string& path() const { return path_; }
  std::unique_ptr<disk::Disk> disk() const {
    std::unique_ptr<disk::Disk> disk;
    CHECK_EQ(disk::open_directory(path_, &disk), 0);
    return disk;
  }

 private:
  std::string path_;
};

}  // namespace

TEST("small writes through a mapping and plain ones make one file") {
  const Directory directory;
  const auto disk = directory.disk();
  std::unique_ptr<disk::File> file;
  CHECK_EQ(disk->open("f", true, &file), 0);
  CHECK_EQ(file->reserve(64 << 10), 0);
  file->expect_small_writes(8192, 8192);
  const std::vector<std::byte> a(100, std::byte{1}), b(4096, std::byte{2});
  CHECK_EQ(file->write(8192 + 50, a.data(), a.size()), 0);
  CHECK_EQ(file->write(4096, b.data(), b.size()), 0);
  CHECK_EQ(file->write_direct(32 << 10, b.data(), b.size()), 0);
  std::vector<std::byte> back(100);
  CHECK_EQ(file->read(8192 + 50, back.data(), back.size()), 0);
  CHECK(back == a);
  CHECK_EQ(file->sync(), 0);
  file->end_small_writes();
  CHECK_EQ(file->write(8192 + 50, b.data(), 10), 0);
  CHECK_EQ(file->read(8192 + 50, back.data(), back.size()), 0);
  CHECK(back[9] == std::byte{2} && back[10] == std::byte{1});
  struct stat status {};
  CHECK_EQ(stat((directory.path() + "/f").c_str(), &status), 0);
  CHECK_EQ(status.st_mode & 0777, 0600u);
}

#ifndef __SANITIZE_THREAD__  // which puts signals off while in memcpy()
TEST("a mapping whose file went away gives EIO, not SIGBUS") {
  const Directory directory;
  const int file = open((directory.path() + "/f").c_str(), O_RDWR | O_CREAT, 0600);
  CHECK_EQ(ftruncate(file, 8192), 0);
  void* mapped = mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  CHECK(mapped != MAP_FAILED);
  const char bytes[] = "bytes";
  CHECK_EQ(disk::guarded_copy(mapped, bytes, sizeof bytes), 0);
  CHECK_EQ(ftruncate(file, 0), 0);
  CHECK_EQ(disk::guarded_copy(mapped, bytes, sizeof bytes), EIO);
  CHECK_EQ(disk::guarded_copy(static_cast<char*>(mapped) + 4090, bytes, sizeof bytes), EIO);
  munmap(mapped, 8192);
  close(file);
}
#endif

TEST("a directory is one owner's at a time; a missing one is told") {
  const Directory directory;
  const auto first = directory.disk();
  CHECK_EQ(first->lock(), 0);
  CHECK_EQ(directory.disk()->lock(), EBUSY);
  std::unique_ptr<disk::Disk> none;
  CHECK_EQ(disk::open_directory(directory.path() + "/none", &none), ENOENT);
  std::unique_ptr<disk::File> file;
  CHECK_EQ(first->open("none", false, &file), ENOENT);
}

TEST("a store on real files survives being left without close") {
  const Directory directory;
  const auto cache = store::make_page_cache(1 << 20);
  const store::Environment environment{cache.get(), [](void* into, size_t length) {
                                         std::random_device random;
                                         for (size_t i = 0; i < length; i++) static_cast<uint8_t*>(into)[i] = static_cast<uint8_t>(random());
                                       }};
  store::CreateOptions options;
  options.size_bytes = 64 << 20;
  CHECK_EQ(store::Store::create(*directory.disk(), options, environment).detail, "");
  const std::vector<std::byte> bytes(3 << 20, std::byte{7});
  const pid_t child = fork();
  if (child == 0) {
    std::unique_ptr<store::Store> store;
    if (store::Store::open(directory.disk(), {}, environment, &store)) _exit(1);
    if (store->write(12345, bytes.data(), bytes.size(), false) != 0) _exit(2);
    kill(getpid(), SIGKILL);
  }
  int status = 0;
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK(WIFSIGNALED(status));
  std::unique_ptr<store::Store> store;
  CHECK_EQ(store::Store::open(directory.disk(), {}, environment, &store).detail, "");
  std::vector<std::byte> back(bytes.size());
  CHECK_EQ(store->read(12345, back.data(), back.size()), 0);
  CHECK(back == bytes);
  CHECK_EQ(store->recovery().torn_entries, 0u);
  CHECK_EQ(store->close().detail, "");
}

CHECK_MAIN()
