// A disk that can lose its power at any moment of the past. Serves two files over FUSE, for loop devices:
//   DIR/live/data  the disk; every write, discard and flush is kept in a log, in memory
//   DIR/cut/data   the disk as a power cut may have left it: everything up to the last flush before entry N, and of the
//                  writes since a random part; some are torn, at multiples of TEAR bytes. What is written there is
//                  forgotten at the next cut.
// DIR/entries holds, in shared memory, the number of log entries so far (u64): who notes it after an acknowledged fsync
// may demand the data of every cut at that number or later.
//
//   power_cut_disk DIR SIZE_MIB     then lines on stdin, an answer on stdout each:
//     "seal"         the workload is over: no more is logged         -> "sealed ENTRIES FLUSHES BYTES"
//     "cut N SEED TEAR"   N must not go back                         -> "cut DROPPED"
//     "break"        every call on the disk fails with EIO           -> "broken"
//     "mend"                                                         -> "mended"
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <mutex>
#include <random>
#include <string>
#include <unordered_map>
#include <vector>

#include "fuse/server.h"

using namespace galleonfs;

namespace {

constexpr uint64_t kPage = 4096;

std::byte* shared_memory(size_t bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) std::abort();
  return static_cast<std::byte*>(memory);
}

enum class Kind { write, discard, flush };

struct LogEntry {
  Kind kind;
  uint64_t offset = 0;
  uint64_t length = 0;
  std::vector<std::byte> bytes;
};

// What both disks have in common.
class Disk : public BlockDevice {
 public:
  explicit Disk(uint64_t size) : size_(size) {}
  uint64_t size_bytes() const noexcept override { return size_; }
  uint32_t block_size_bytes() const noexcept override { return kPage; }
  uint64_t allocated_bytes() const noexcept override { return size_; }
  bool read_only() const noexcept override { return false; }
  int seek(uint64_t offset, bool want_data, uint64_t* found) noexcept override {
    if (offset >= size_) return ENXIO;
    *found = want_data ? offset : size_;
    return 0;
  }

 protected:
  bool outside(uint64_t offset, uint64_t length) const { return offset > size_ || length > size_ - offset; }
  const uint64_t size_;
};

class LiveDisk final : public Disk {
 public:
  LiveDisk(uint64_t size, std::atomic<uint64_t>* entries) : Disk(size), bytes_(shared_memory(size)), entries_(entries) {}

  int read(uint64_t offset, std::byte* into, size_t length) noexcept override {
    if (outside(offset, length)) return EINVAL;
    if (broken_) return EIO;
    const std::lock_guard lock(mutex_);
    std::memcpy(into, bytes_ + offset, length);
    return 0;
  }
  int write(uint64_t offset, const std::byte* from, size_t length, bool durable) noexcept override {
    if (outside(offset, length)) return EINVAL;
    if (broken_) return EIO;
    const std::lock_guard lock(mutex_);
    std::memcpy(bytes_ + offset, from, length);
    append({Kind::write, offset, length, {from, from + length}});
    if (durable) append({Kind::flush, 0, 0, {}});
    return 0;
  }
  int flush() noexcept override {
    if (broken_) return EIO;
    const std::lock_guard lock(mutex_);
    append({Kind::flush, 0, 0, {}});
    return 0;
  }
  int discard(uint64_t offset, uint64_t length) noexcept override {
    if (outside(offset, length)) return EINVAL;
    if (broken_) return EIO;
    const std::lock_guard lock(mutex_);
    std::memset(bytes_ + offset, 0, length);
    append({Kind::discard, offset, length, {}});
    return 0;
  }

  void set_broken(bool broken) { broken_ = broken; }
  void seal() {
    const std::lock_guard lock(mutex_);
    sealed_ = true;
  }
  const std::vector<LogEntry>& log() const { return log_; }  // once sealed

 private:
  void append(LogEntry entry) {
    if (sealed_) return;
    log_.push_back(std::move(entry));
    entries_->store(log_.size(), std::memory_order_release);
  }

  std::mutex mutex_;  // guards all below
  std::byte* bytes_;
  bool sealed_ = false;
  std::atomic<bool> broken_{false};
  std::vector<LogEntry> log_;
  std::atomic<uint64_t>* entries_;
};

class CutDisk final : public Disk {
 public:
  CutDisk(uint64_t size, const LiveDisk& live) : Disk(size), live_(live), flushed_(shared_memory(size)) {}

  // Returns how many pieces written before the cut are lost.
  uint64_t cut(uint64_t entry, uint64_t seed, uint64_t tear) {
    const std::lock_guard lock(mutex_);
    pages_.clear();
    const std::vector<LogEntry>& log = live_.log();
    const uint64_t end = std::min<uint64_t>(entry, log.size());
    uint64_t flushed = end;
    while (flushed > flushed_to_ && log[flushed - 1].kind != Kind::flush) flushed--;
    for (; flushed_to_ < flushed; flushed_to_++) {
      const LogEntry& past = log[flushed_to_];
      if (past.kind == Kind::write) std::memcpy(flushed_ + past.offset, past.bytes.data(), past.length);
      if (past.kind == Kind::discard) std::memset(flushed_ + past.offset, 0, past.length);
    }
    std::mt19937_64 random(seed);
    const uint64_t mode = random() % 8;  // now and then everything since the flush is lost, or nothing
    uint64_t lost = 0;
    for (uint64_t i = flushed_to_; i < end; i++) {
      const LogEntry& recent = log[i];
      if (recent.kind == Kind::flush) continue;
      const uint64_t fate = mode == 0 ? 0 : mode == 1 ? 1 : random() % 8;
      uint64_t n = 0;
      for (uint64_t at = 0; at < recent.length; at += n) {
        n = std::min(tear - (recent.offset + at) % tear, recent.length - at);
        // Whole, not at all, or torn.
        if (fate == 0 || fate == 2 || fate == 3 || (fate == 4 && random() % 2 == 0)) {
          lost++;
          continue;
        }
        if (recent.kind == Kind::write) {
          put(recent.offset + at, recent.bytes.data() + at, n);
        } else {
          constexpr std::array<std::byte, kPage> zeros{};
          put(recent.offset + at, zeros.data(), n);
        }
      }
    }
    return lost;
  }

  int read(uint64_t offset, std::byte* into, size_t length) noexcept override {
    if (outside(offset, length)) return EINVAL;
    const std::lock_guard lock(mutex_);
    while (length > 0) {
      const uint64_t n = std::min<uint64_t>(length, kPage - offset % kPage);
      const auto page = pages_.find(offset / kPage);
      std::memcpy(into, page == pages_.end() ? flushed_ + offset : page->second.data() + offset % kPage, n);
      into += n;
      offset += n;
      length -= n;
    }
    return 0;
  }
  int write(uint64_t offset, const std::byte* from, size_t length, bool) noexcept override {
    if (outside(offset, length)) return EINVAL;
    const std::lock_guard lock(mutex_);
    put(offset, from, length);
    return 0;
  }
  int flush() noexcept override { return 0; }
  int discard(uint64_t offset, uint64_t length) noexcept override {
    if (outside(offset, length)) return EINVAL;
    const std::vector<std::byte> zeros(length);
    const std::lock_guard lock(mutex_);
    put(offset, zeros.data(), length);
    return 0;
  }

 private:
  void put(uint64_t offset, const std::byte* from, uint64_t length) {
    while (length > 0) {
      const uint64_t n = std::min<uint64_t>(length, kPage - offset % kPage);
      const auto [page, fresh] = pages_.try_emplace(offset / kPage);
      if (fresh) std::memcpy(page->second.data(), flushed_ + offset / kPage * kPage, kPage);
      std::memcpy(page->second.data() + offset % kPage, from, n);
      from += n;
      offset += n;
      length -= n;
    }
  }

  const LiveDisk& live_;
  std::mutex mutex_;  // guards all below
  std::byte* flushed_;
  uint64_t flushed_to_ = 0;
  std::unordered_map<uint64_t, std::array<std::byte, kPage>> pages_;  // the cut, and what was written since
};

std::atomic<uint64_t>* entry_counter(const std::string& path) {
  const int file = open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0 || ftruncate(file, kPage) != 0) return nullptr;
  void* memory = mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  return memory == MAP_FAILED ? nullptr : new (memory) std::atomic<uint64_t>(0);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: power_cut_disk DIR SIZE_MIB\n";
    return 2;
  }
  const std::string directory = argv[1];
  const uint64_t size = std::strtoull(argv[2], nullptr, 10) << 20;
  std::atomic<uint64_t>* entries = entry_counter(directory + "/entries");
  if (entries == nullptr) {
    std::perror(directory.c_str());
    return 1;
  }
  LiveDisk live(size, entries);
  CutDisk cut(size, live);
  fuse::Server server;
  const auto serve = [&](BlockDevice& device, const char* name) {
    fuse::MountOptions options;
    options.mount_point = directory + "/" + name;
    (void)mkdir(options.mount_point.c_str(), 0700);
    fuse::Error error;
    const auto session = server.mount(device, options, error);
    if (session == nullptr) std::cerr << error.code << ": " << error.detail << "\n";
    return session != nullptr;
  };
  if (!serve(live, "live") || !serve(cut, "cut")) return 1;
  std::cout << "ready" << std::endl;
  std::string command;
  while (std::cin >> command) {
    if (command == "seal") {
      live.seal();
      uint64_t flushes = 0;
      uint64_t bytes = 0;
      for (const LogEntry& entry : live.log()) {
        flushes += entry.kind == Kind::flush ? 1 : 0;
        bytes += entry.bytes.size();
      }
      std::cout << "sealed " << live.log().size() << " " << flushes << " " << bytes << std::endl;
    } else if (command == "break" || command == "mend") {
      live.set_broken(command == "break");
      std::cout << (command == "break" ? "broken" : "mended") << std::endl;
    } else if (command == "cut") {
      uint64_t entry = 0;
      uint64_t seed = 0;
      uint64_t tear = 0;
      std::cin >> entry >> seed >> tear;
      std::cout << "cut " << cut.cut(entry, seed, std::clamp<uint64_t>(tear, 512, kPage)) << std::endl;
    }
  }
  server.stop(fuse::StopMode::unmount);
  return 0;
}
