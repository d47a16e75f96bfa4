// Everything is bounded, over all volumes of a process together: what a recovery replays, what is not on the disk yet,
// descriptors; also while a disk is slow, when writers wait and readers do not.
#include <dirent.h>
#include <sys/random.h>
#include <sys/stat.h>

#include <atomic>
#include <condition_variable>
#include <thread>

#include "disk/file_disk.h"
#include "store/budget.h"
#include "store_fixture.h"

using namespace galleonfs;
using disk::FakeOperation;

namespace {

// Holds whoever comes, until it is opened.
class Gate {
 public:
  void pass() {
    std::unique_lock lock(mutex_);
    waiting_++;
    changed_.notify_all();
    changed_.wait(lock, [this] { return open_; });
    waiting_--;
  }
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  void await(int waiting) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return waiting_ >= waiting; });
  }

 private:
  std::mutex mutex_;  // guards all below
  std::condition_variable changed_;
  bool open_ = false;
  int waiting_ = 0;
};

// Returns when nobody has made progress for a while.
void await_standstill(const std::atomic<uint64_t>& progress) {
  uint64_t before = progress;
  for (int still = 0; still < 20;) {
    std::this_thread::sleep_for(std::chrono::milliseconds(25));
    still = progress == before ? still + 1 : 0;
    before = progress;
  }
}

constexpr uint64_t kVolumes = 4;
constexpr uint64_t kVolume = 64 << 20;
constexpr uint64_t kLogEntries = 12288;
constexpr uint64_t kUndurable = 16 << 20;

struct Volumes {
  store::Budget budget{{.log_entries = kLogEntries, .undurable_bytes = kUndurable}};
  std::vector<std::unique_ptr<StoreFixture>> all;
  std::atomic<bool> armed{false};
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> progress{0};
  std::vector<std::thread> writers;

  explicit Volumes(disk::FakeStorage::Interlude interlude) {
    for (uint64_t i = 0; i < kVolumes; i++) {
      all.push_back(std::make_unique<StoreFixture>(kVolume, 4096, i));
      StoreFixture& f = *all.back();
      f.environment_.budget = &budget;
      f.options_.segment_size_bytes = 1 << 20;
      f.open_options_.background = true;
      f.open_options_.checkpoint_bytes = 1ULL << 40;  // none for the volume's own sake
      f.storage.set_interlude([this, interlude](FakeOperation operation, const std::string& name, uint64_t offset, uint64_t length) {
        if (armed && interlude) interlude(operation, name, offset, length);
      });
      f.create();
      f.open();
      f.write(0, pattern(4096, i), true);
    }
  }
  void start_writing() {
    armed = true;
    for (uint64_t i = 0; i < 2 * kVolumes; i++) {
      writers.emplace_back([this, i] {
        std::mt19937_64 random(i);
        const auto bytes = pattern(4096, i);
        while (!stop) {
          (void)all[i % kVolumes]->store().write((1 + random() % (kVolume / 4096 - 1)) * 4096, bytes.data(), 4096, false);
          progress++;
        }
      });
    }
  }
  void end() {
    stop = true;
    for (std::thread& writer : writers) writer.join();
  }
  uint64_t sum(uint64_t (*value)(const store::Stats&)) {
    uint64_t sum = 0;
    for (const auto& f : all) sum += value(f->store().stats());
    return sum;
  }
};

size_t open_descriptors() {
  DIR* stream = opendir("/proc/self/fd");
  size_t count = 0;
  while (readdir(stream) != nullptr) count++;
  closedir(stream);
  return count;
}

}  // namespace

TEST("a kill just before checkpoints come to their end leaves no more to replay than the budget") {
  Gate gate;
  Volumes volumes([&](FakeOperation operation, const std::string& name, uint64_t, uint64_t) {
    if (operation == FakeOperation::write && name == "superblock") gate.pass();
  });
  volumes.start_writing();
  gate.await(1);
  await_standstill(volumes.progress);
  const uint64_t log = volumes.sum([](const store::Stats& stats) { return stats.next_lsn - 1 - stats.checkpoint_lsn; });
  CHECK(log > kLogEntries / 2);
  const uint64_t bound = kLogEntries + kVolumes * (2048 + store::Budget::kReportEntries) + 2 * kVolumes;
  CHECK(log <= bound);
  // Reads go on.
  for (uint64_t i = 0; i < kVolumes; i++) CHECK(volumes.all[i]->read(0, 4096) == pattern(4096, i));
  for (const auto& f : volumes.all) f->storage.kill();
  gate.open();
  volumes.end();
  uint64_t replayed = 0;
  for (uint64_t i = 0; i < kVolumes; i++) {
    StoreFixture& f = *volumes.all[i];
    f.kill();
    f.open();
    replayed += f.store().recovery().replayed_entries;
    CHECK(f.read(0, 4096) == pattern(4096, i));
  }
  CHECK(replayed > kLogEntries / 2);
  CHECK(replayed <= bound);
}

TEST("while a disk takes no sync, what is not durable stays within the budget, and readers do not wait") {
  Gate gate;
  Volumes volumes([&](FakeOperation operation, const std::string& name, uint64_t, uint64_t) {
    if (operation == FakeOperation::sync && name.starts_with("segment-")) gate.pass();
  });
  volumes.start_writing();
  gate.await(1);
  await_standstill(volumes.progress);
  const uint64_t undurable = volumes.sum([](const store::Stats& stats) { return stats.next_lsn - 1 - stats.durable_lsn; }) * 4096;
  CHECK(undurable > 0);
  // A few volumes may have begun when there were fewer writers to share with.
  CHECK(undurable <= 2 * kUndurable + 2 * kVolumes * 4096);
  for (uint64_t i = 0; i < kVolumes; i++) CHECK(volumes.all[i]->read(0, 4096) == pattern(4096, i));
  gate.open();
  const uint64_t before = volumes.progress;
  while (volumes.progress < before + 1000) std::this_thread::yield();
  volumes.end();
  for (const auto& f : volumes.all) CHECK_EQ(f->store().flush(), 0);
}

TEST("checkpoints follow the budget, so that many volumes never wait for long") {
  Volumes volumes({});
  volumes.start_writing();
  while (volumes.progress < 8 * kLogEntries) std::this_thread::yield();
  volumes.end();
  CHECK(volumes.sum([](const store::Stats& stats) { return stats.checkpoints; }) >= kVolumes);
  for (const auto& f : volumes.all) f->close();
  CHECK_EQ(volumes.budget.log_entries(), 0u);
}

TEST("descriptors are bounded over all volumes") {
  char directory[] = "/tmp/galleonfs-bounds-XXXXXX";
  CHECK(mkdtemp(directory) != nullptr);
  constexpr size_t kStores = 12;
  constexpr size_t kCached = 48;
  const size_t before = open_descriptors();
  {
    store::Budget budget({.open_files = kCached});
    const auto cache = store::make_page_cache(1 << 20);
    const store::Environment environment{
        .cache = cache.get(), .random = [](void* into, size_t length) { (void)!getrandom(into, length, 0); }, .budget = &budget};
    std::vector<std::unique_ptr<store::Store>> stores;
    const auto bytes = pattern(65536, 1);
    for (size_t i = 0; i < kStores; i++) {
      const std::string path = std::string(directory) + "/" + std::to_string(i);
      CHECK_EQ(::mkdir(path.c_str(), 0700), 0);
      std::unique_ptr<disk::Disk> disk;
      CHECK_EQ(disk::open_directory(path, &disk), 0);
      const store::CreateOptions options{.volume_id = {}, .size_bytes = 8 << 20, .block_size_bytes = 4096, .segment_size_bytes = 256 << 10};
      CHECK_EQ(store::Store::create(*disk, options, environment).detail, "");
      disk.reset();
      CHECK_EQ(disk::open_directory(path, &disk), 0);
      stores.emplace_back();
      const store::OpenOptions open_options{.read_only = false, .background = false, .checkpoint_bytes = 1 << 20};
      CHECK_EQ(store::Store::open(std::move(disk), open_options, environment, &stores.back()).detail, "");
      for (uint64_t offset = 0; offset < (8 << 20); offset += bytes.size()) {
        CHECK_EQ(stores.back()->write(offset, bytes.data(), bytes.size(), false), 0);
      }
      CHECK_EQ(stores.back()->checkpoint().detail, "");
    }
    std::vector<std::byte> back(65536);
    for (const auto& one : stores) {
      for (uint64_t offset = 0; offset < (8 << 20); offset += back.size()) CHECK_EQ(one->read(offset, back.data(), back.size()), 0);
    }
    // Each has its directory, superblock, map, and the segments that are being filled or were since the last checkpoint.
    CHECK(open_descriptors() - before <= kStores * 8 + kCached);
  }
  CHECK_EQ(std::system((std::string("rm -r ") + directory).c_str()), 0);
  CHECK_EQ(open_descriptors(), before);
}

CHECK_MAIN()
