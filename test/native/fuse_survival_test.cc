// The serving process is killed and another goes on: what programs on the mount see meanwhile must be a pause.
#include <fcntl.h>
#include <linux/falloc.h>

#include <thread>

#include "supervised_volume.h"

using namespace galleonfs;
using namespace galleonfs::check;

namespace {

constexpr uint64_t kBlock = SharedDevice::kBlock;

// One thread's share of the volume. Every block carries its number and a version; what was acknowledged is what it must have.
class Share {
 public:
  Share(int fd, uint64_t first, uint64_t blocks, unsigned seed) : fd_(fd), first_(first), version_(blocks, 0), random_(seed) {}

  void work(const std::atomic<bool>& stop) {
    while (!stop) step();
  }

  void check_all(const std::byte* bytes) const {
    for (uint64_t b = 0; b < version_.size(); b++) check(b, reinterpret_cast<const uint64_t*>(bytes + (first_ + b) * kBlock));
  }

  uint64_t operations = 0;

 private:
  static constexpr uint64_t kRun = 64;
  static constexpr int kWords = kBlock / sizeof(uint64_t);

  void step() {
    uint64_t n = 1 + rand_r(&random_) % (rand_r(&random_) % 16 == 0 ? kRun : 4);
    uint64_t b = rand_r(&random_) % (version_.size() - n + 1);
    off_t at = static_cast<off_t>((first_ + b) * kBlock);
    switch (rand_r(&random_) % 32) {
      default:
        fill(b, n);
        must(pwrite(fd_, block_, n * kBlock, at), static_cast<ssize_t>(n * kBlock), "pwrite");
        break;
      case 0:
        must(fdatasync(fd_), 0, "fdatasync");
        break;
      case 1:
        must(fallocate(fd_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, static_cast<off_t>(n * kBlock)), 0, "fallocate");
        for (uint64_t i = 0; i < n; i++) version_[b + i] = 0;
        break;
      case 2: {
        struct stat st;
        must(fstat(fd_, &st), 0, "fstat");
        break;
      }
      case 3:
        must(lseek(fd_, at, SEEK_DATA), at, "lseek");
        break;
      case 4: case 5: case 6: case 7: case 8: case 9: case 10: case 11: case 12: case 13:
        must(pread(fd_, block_, n * kBlock, at), static_cast<ssize_t>(n * kBlock), "pread");
        for (uint64_t i = 0; i < n; i++) check(b + i, block_ + i * kWords);
        break;
    }
    operations++;
  }

  void fill(uint64_t b, uint64_t n) {
    for (uint64_t i = 0; i < n; i++) {
      version_[b + i]++;
      for (int w = 0; w < kWords; w += 2) {
        block_[i * kWords + w] = first_ + b + i;
        block_[i * kWords + w + 1] = version_[b + i];
      }
    }
  }

  void check(uint64_t b, const uint64_t* words) const {
    for (int w = 0; w < kWords; w += 2) {
      if (words[w + 1] == version_[b] && words[w] == (version_[b] ? first_ + b : 0)) continue;
      fail(__FILE__, __LINE__, "block " + std::to_string(first_ + b) + " has version " + std::to_string(words[w + 1]) + " of block " +
                                   std::to_string(words[w]) + ", not version " + std::to_string(version_[b]));
    }
  }

  void must(ssize_t got, ssize_t wanted, const char* what) {
    if (got != wanted) fail(__FILE__, __LINE__, std::string(what) + ": " + std::to_string(got) + " " + (got < 0 ? strerror(errno) : ""));
  }

  int fd_;
  uint64_t first_;
  std::vector<uint64_t> version_;
  unsigned random_;
  alignas(4096) uint64_t block_[kRun * kWords];
};

constexpr bool kSanitized =
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    true;
#else
    false;
#endif

// `disturb` is called again and again while eight threads work on the volume and verify.
void survive(const ServeOptions& options, int flags, int times, const std::function<void(SupervisedVolume&, unsigned&)>& disturb) {
  SupervisedVolume v(options);
  int fd = v.open(flags);
  CHECK(fd >= 0);
  constexpr uint64_t kThreads = 8;
  const uint64_t blocks = options.size / kBlock / kThreads;
  std::vector<std::unique_ptr<Share>> shares;
  for (unsigned i = 0; i < kThreads; i++) shares.push_back(std::make_unique<Share>(fd, i * blocks, blocks, i + 1));
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (auto& share : shares) threads.emplace_back([&stop, s = share.get()] { s->work(stop); });
  unsigned random = static_cast<unsigned>(getpid());
  for (int i = 0; i < times; i++) {
    usleep(1000 + rand_r(&random) % 25'000);
    disturb(v, random);
  }
  stop = true;
  for (auto& t : threads) t.join();
  uint64_t operations = 0;
  for (auto& share : shares) {
    share->check_all(v.device.bytes());
    operations += share->operations;
  }
  CHECK_EQ(v.generations(), 1);
  std::printf("  %d times in %llu verified operations\n", times, static_cast<unsigned long long>(operations));
  close(fd);
}

void kill_once(SupervisedVolume& v, unsigned&) { v.kill(); }

template <class Done>
void wait_until(Done done) {
  while (!done()) usleep(500);
}

// The slot in the newest slots file that holds a WRITE at `offset`; waits for it.
off_t slot_of_write(int slots, uint64_t offset) {
  for (;; usleep(500)) {
    fuse::SlotsHeader header;
    CHECK_EQ(pread(slots, &header, sizeof header, 0), static_cast<ssize_t>(sizeof header));
    for (size_t i = 0; i < header.count; i++) {
      off_t slot = static_cast<off_t>(fuse::kFirstSlot + i * fuse::kSlotBytes);
      struct {
        fuse_in_header in;
        fuse_write_in write;
      } message{};
      CHECK_EQ(pread(slots, &message, sizeof message, slot + static_cast<off_t>(fuse::kSlotMessage)), static_cast<ssize_t>(sizeof message));
      if (message.in.unique != 0 && message.in.opcode == FUSE_WRITE && message.write.offset == offset) return slot;
    }
  }
}

const ServeOptions kResend{.in_flight = fuse::InFlight::automatic};
const ServeOptions kSlots{.in_flight = fuse::InFlight::slots};

// A program's write that the server has received and holds back in its device.
struct HeldWrite {
  static constexpr uint64_t kOffset = 17 * kBlock;

  explicit HeldWrite(SupervisedVolume& v) : volume(v), fd(v.open()) {
    v.device.shared().held_offset = kOffset;
    writer = std::thread([this] {
      std::string data(kBlock, 'w');
      result = pwrite(fd, data.data(), kBlock, kOffset);
      if (result < 0) result = -errno;
    });
    wait_until([&] { return v.device.shared().holding.load() == 1; });
    writes_before = v.device.shared().writes;
  }
  void release() { volume.device.shared().held_offset = -1; }
  ssize_t finish() {
    writer.join();
    close(fd);
    return result;
  }
  bool arrived() const { return std::to_integer<char>(volume.device.bytes()[kOffset]) == 'w'; }

  SupervisedVolume& volume;
  int fd;
  std::thread writer;
  ssize_t result = 0;
  uint64_t writes_before = 0;
};

}  // namespace

MOUNT_TEST("killed at any moment, sent again by the kernel: no error, nothing lost") {
  survive(kResend, O_RDWR | O_DIRECT, kSanitized ? 40 : 250, kill_once);
}

MOUNT_TEST("killed at any moment, answered from the slots: no error, nothing lost") {
  survive(kSlots, O_RDWR | O_DIRECT, kSanitized ? 40 : 250, kill_once);
}

MOUNT_TEST("killed at any moment, cached mode: no error, nothing lost") {
  for (ServeOptions options : {kResend, kSlots}) {
    options.cache = fuse::CacheMode::cached;
    survive(options, O_RDWR, kSanitized ? 15 : 60, kill_once);
  }
}

MOUNT_TEST("killed again while taking over, several times: no error, nothing lost") {
  for (const ServeOptions& options : {kResend, kSlots}) {
    survive(options, O_RDWR | O_DIRECT, kSanitized ? 10 : 60, [](SupervisedVolume& v, unsigned& random) {
      v.kill_starting(1 + rand_r(&random) % 4, kSanitized ? 100'000 : 15'000);
    });
  }
}

MOUNT_TEST("handed over under load, and killed in between: no error, nothing lost") {
  for (const ServeOptions& options : {kResend, kSlots}) {
    survive(options, O_RDWR | O_DIRECT, kSanitized ? 10 : 60, [](SupervisedVolume& v, unsigned& random) {
      if (rand_r(&random) % 3 == 0) v.kill();
      else v.hand_over();
    });
  }
}

MOUNT_TEST("a received write is carried out by the successor, once") {
  for (const ServeOptions& options : {kResend, kSlots}) {
    SupervisedVolume v(options);
    HeldWrite write(v);
    v.kill_only();
    write.release();
    CHECK(!write.arrived());
    v.start();
    CHECK_EQ(write.finish(), static_cast<ssize_t>(kBlock));
    CHECK(write.arrived());
    CHECK_EQ(v.device.shared().writes.load(), write.writes_before + 1);
  }
}

MOUNT_TEST("a successor killed while it carries out a received write leaves it to the next") {
  SupervisedVolume v(kSlots);
  HeldWrite write(v);
  v.kill_only();
  for (int i = 2; i <= 4; i++) v.start_in_vain(i);
  CHECK(!write.arrived());
  write.release();
  v.start();
  CHECK_EQ(write.finish(), static_cast<ssize_t>(kBlock));
  CHECK(write.arrived());
}

MOUNT_TEST("a result that was kept and not sent is sent, and its request not carried out again") {
  for (const ServeOptions& options : {kResend, kSlots}) {
    for (int error : {0, ENOSPC}) {
      SupervisedVolume v(options);
      HeldWrite write(v);
      int slots = v.slots_file();
      CHECK(slots >= 0);
      off_t slot = slot_of_write(slots, HeldWrite::kOffset);
      v.kill_only();
      // As if the device had returned, and the kill had come before the reply.
      fuse::SlotHeader header;
      CHECK_EQ(pread(slots, &header, sizeof header, slot), static_cast<ssize_t>(sizeof header));
      CHECK_EQ(header.state, fuse::SlotState::reading);
      CHECK_EQ(header.key, kServedKey);
      fuse_write_out out{};
      out.size = kBlock;
      header.state = fuse::SlotState::applied;
      header.error = static_cast<uint32_t>(error);
      header.body_length = error ? 0 : sizeof out;
      memcpy(header.body, &out, sizeof out);
      CHECK_EQ(pwrite(slots, &header, sizeof header, slot), static_cast<ssize_t>(sizeof header));
      close(slots);
      write.release();
      v.start();
      CHECK_EQ(write.finish(), error ? -error : static_cast<ssize_t>(kBlock));
      CHECK(!write.arrived());
      CHECK_EQ(v.device.shared().writes.load(), write.writes_before);
    }
  }
}

MOUNT_TEST("what the kernel does not wait for is not carried out, whatever the slots say") {
  SupervisedVolume v(kSlots);
  HeldWrite write(v);
  int slots = v.slots_file();
  off_t slot = slot_of_write(slots, HeldWrite::kOffset);
  v.kill_only();
  // Its twin in another slot under an id that was never given out: as a read that failed half-way leaves it.
  std::vector<std::byte> twin(fuse::kSlotBytes);
  CHECK_EQ(pread(slots, twin.data(), twin.size(), slot), static_cast<ssize_t>(twin.size()));
  uint64_t unique = uint64_t{1} << 40;
  memcpy(twin.data() + fuse::kSlotUnique, &unique, sizeof unique);
  fuse::SlotsHeader header;
  CHECK_EQ(pread(slots, &header, sizeof header, 0), static_cast<ssize_t>(sizeof header));
  off_t other = static_cast<off_t>(fuse::kFirstSlot + (header.count - 1) * fuse::kSlotBytes);
  CHECK(other != slot);
  CHECK_EQ(pwrite(slots, twin.data(), twin.size(), other), static_cast<ssize_t>(twin.size()));
  close(slots);
  write.release();
  v.start();
  CHECK_EQ(write.finish(), static_cast<ssize_t>(kBlock));
  CHECK_EQ(v.device.shared().writes.load(), write.writes_before + 1);
}

MOUNT_TEST("the result of everything with an effect is kept before it is sent") {
  SupervisedVolume v(kSlots);
  int fd = v.open();
  int slots = v.slots_file();
  std::string data(kBlock, 'x');
  // One after another with pauses, as on a quiet volume: nobody reads again into the slot meanwhile.
  auto kept = [&](int error, size_t body_length) {
    usleep(5000);
    for (int i = 0;; i++) {
      fuse::SlotHeader slot;
      if (pread(slots, &slot, sizeof slot, static_cast<off_t>(fuse::kFirstSlot + i * fuse::kSlotBytes)) != static_cast<ssize_t>(sizeof slot)) return false;
      if (slot.state == fuse::SlotState::applied && slot.key == kServedKey && slot.error == static_cast<uint32_t>(error) &&
          slot.body_length == body_length) {
        slot.state = fuse::SlotState::free;
        CHECK_EQ(pwrite(slots, &slot, sizeof slot, static_cast<off_t>(fuse::kFirstSlot + i * fuse::kSlotBytes)), static_cast<ssize_t>(sizeof slot));
        return true;
      }
    }
  };
  CHECK_EQ(pwrite(fd, data.data(), kBlock, 0), static_cast<ssize_t>(kBlock));
  CHECK(kept(0, sizeof(fuse_write_out)));
  CHECK_EQ(fsync(fd), 0);
  CHECK(kept(0, 0));
  v.device.shared().next_flush_error = EIO;
  CHECK_EQ(fsync(fd), -1);
  CHECK(kept(EIO, 0));
  CHECK_EQ(ftruncate(fd, kBlock), 0);
  CHECK(kept(0, sizeof(fuse_attr_out)));
  CHECK_EQ(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, kBlock), 0);
  CHECK(kept(0, 0));
  off_t from = 0, to = kBlock;
  CHECK_EQ(copy_file_range(fd, &from, fd, &to, kBlock, 0), static_cast<ssize_t>(kBlock));
  CHECK(kept(0, sizeof(fuse_write_out)));
  char c;
  CHECK_EQ(pread(fd, &c, 1, 0), 1);
  CHECK(!kept(0, sizeof(fuse_write_out)));
  close(slots);
  close(fd);
}

MOUNT_TEST("a flush that failed before the kill does not succeed after it") {
  for (const ServeOptions& options : {kResend, kSlots}) {
    SupervisedVolume v(options);
    int fd = v.open();
    for (int i = 0; i < 20; i++) {
      v.device.shared().next_flush_error = EIO;
      std::thread killer([&] { v.kill(); });
      int result = fsync(fd);
      killer.join();
      CHECK_EQ(result, -1);
      CHECK_EQ(v.device.shared().next_flush_error.exchange(0), 0);
    }
    close(fd);
  }
}

MOUNT_TEST("a clone is not read before the store has it") {
  SupervisedVolume v(kResend);
  int fd = v.open(O_RDWR | O_DIRECT);
  v.hold_store();
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> done{0};
  std::thread reader([&] {
    alignas(4096) char block[4096];
    for (; !stop; done++) CHECK_EQ(pread(fd, block, sizeof block, 0), 4096);
  });
  int slots = v.slots_file();
  auto read_from_clone = [&] {
    fuse::SlotsHeader header;
    CHECK_EQ(pread(slots, &header, sizeof header, 0), static_cast<ssize_t>(sizeof header));
    for (size_t i = 0; i < header.count; i++) {
      fuse::SlotHeader slot;
      CHECK_EQ(pread(slots, &slot, sizeof slot, static_cast<off_t>(fuse::kFirstSlot + i * fuse::kSlotBytes)), static_cast<ssize_t>(sizeof slot));
      if (slot.index > 0) return true;
    }
    return false;
  };
  // The volume is busy and asks for clones, and the store does not answer: it is served without them.
  wait_until([&] { return done > 2000; });
  CHECK(!read_from_clone());
  v.go_on();
  wait_until(read_from_clone);
  CHECK(v.stores(fuse::connection_name(kServedKey, 1)));
  close(slots);
  stop = true;
  reader.join();
  close(fd);
}

MOUNT_TEST("a clone the store did not take is not used, and the mount survives without it") {
  SupervisedVolume v(kResend);
  int fd = v.open(O_RDWR | O_DIRECT);
  v.hold_store();
  std::atomic<bool> stop{false};
  std::thread reader([&] {
    alignas(4096) char block[4096];
    while (!stop) CHECK_EQ(pread(fd, block, sizeof block, 0), 4096);
  });
  usleep((fuse::DescriptorStore::kTimeLimitMs + 1000) * 1000);
  v.go_on();
  wait_until([&] { return !v.stores(fuse::connection_name(kServedKey, 1)); });
  CHECK(v.stores(fuse::connection_name(kServedKey, 0)));
  v.kill();
  stop = true;
  reader.join();
  close(fd);
}

MOUNT_TEST("an INTERRUPT is answered ENOSYS, so that the kernel sends no second one") {
  MountedVolume v;
  v.device.shared().delay_us = 100'000;
  int fd = v.open(O_RDWR | O_DIRECT);
  struct sigaction action = {};
  action.sa_handler = [](int) {};
  sigaction(SIGUSR1, &action, nullptr);
  CHECK_EQ(v.command('c'), 'k');
  const uint64_t before = v.shared->others;
  std::thread reader([&] {
    alignas(4096) char block[4096];
    for (int i = 0; i < 5; i++) CHECK_EQ(pread(fd, block, sizeof block, 0), 4096);
  });
  for (int i = 0; i < 20; i++) {
    usleep(20'000);
    pthread_kill(reader.native_handle(), SIGUSR1);
  }
  reader.join();
  CHECK_EQ(v.command('c'), 'k');
  CHECK_EQ(v.shared->others.load(), before + 1);
  close(fd);
}

MOUNT_TEST("a request whose copy faults while it is killed fails: why buffers are resident") {
  if (!PageDropper::possible()) {
    std::printf("skipped (needs userfaultfd)\n");
    return;
  }
  SupervisedVolume v(kResend);
  int fd = v.open();
  std::string data(kBlock, 'w');
  CHECK_EQ(pwrite(fd, data.data(), kBlock, 0), static_cast<ssize_t>(kBlock));
  v.drop_pages();
  usleep(100'000);
  ssize_t result = 0;
  int error = 0;
  std::thread writer([&] {
    result = pwrite(fd, data.data(), kBlock, 0);
    error = errno;
  });
  wait_until([&] { return v.device.shared().page_faults_held.load() > 0; });
  v.kill();
  writer.join();
  CHECK_EQ(result, -1);
  CHECK_EQ(error, EIO);
  // The next one, with pages in place, is served.
  CHECK_EQ(pwrite(fd, data.data(), kBlock, 0), static_cast<ssize_t>(kBlock));
  close(fd);
}

MOUNT_TEST("a process that invalidates pages being written back through itself can be killed") {
  SupervisedVolume v(kResend);
  int fd = v.open();
  auto* page = static_cast<std::byte*>(mmap(nullptr, kBlock, PROT_READ | PROT_WRITE, MAP_SHARED, fd, HeldWrite::kOffset));
  CHECK(page != MAP_FAILED);
  page[0] = std::byte{'d'};
  // The truncation discards the page's range; dropping the dirty page then waits for a write that waits in the device.
  v.device.shared().held_offset = HeldWrite::kOffset;
  CHECK_EQ(ftruncate(fd, HeldWrite::kOffset - 1), 0);
  wait_until([&] { return v.device.shared().holding.load() == 1; });
  v.kill_only();
  v.device.shared().held_offset = -1;
  v.start();
  CHECK_EQ(msync(page, kBlock, MS_SYNC), 0);
  munmap(page, kBlock);
  close(fd);
}

MOUNT_TEST("truncated pages read as zeros in cached mode, also when the truncation is resumed") {
  for (ServeOptions options : {kResend, kSlots}) {
    options.cache = fuse::CacheMode::cached;
    SupervisedVolume v(options);
    int fd = v.open();
    std::string data(kBlock, 'x');
    char c;
    for (int i = 0; i < 10; i++) {
      CHECK_EQ(pwrite(fd, data.data(), kBlock, HeldWrite::kOffset), static_cast<ssize_t>(kBlock));
      CHECK_EQ(pread(fd, &c, 1, HeldWrite::kOffset), 1);
      CHECK_EQ(c, 'x');
      std::thread killer;
      if (i % 2) {
        v.device.shared().held_offset = HeldWrite::kOffset;
        killer = std::thread([&, before = v.device.shared().holding.load()] {
          wait_until([&] { return v.device.shared().holding.load() > before; });
          v.kill_only();
          v.device.shared().held_offset = -1;
          v.start();
        });
      }
      CHECK_EQ(ftruncate(fd, HeldWrite::kOffset), 0);
      if (killer.joinable()) killer.join();
      CHECK_EQ(pread(fd, &c, 1, HeldWrite::kOffset), 1);
      CHECK_EQ(c, '\0');
    }
    close(fd);
  }
}

int main(int argc, char** argv) {
  if (argc == 8 && std::string(argv[1]) == "--serve") serve_volume(argv);
  return check::main(argc, argv);
}
