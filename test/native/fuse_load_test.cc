// Many programs at once, slow devices, and the threads that serve them.
#include <chrono>
#include <thread>

#include "fuse_fixture.h"

using namespace galleonfs;
using namespace galleonfs::check;

namespace {

double seconds_since(std::chrono::steady_clock::time_point t) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - t).count();
}

// One thread's share of the volume, written and verified at random; every block carries its offset and version.
void mixed_io(int fd, uint64_t begin, uint64_t blocks, unsigned seed, std::atomic<int>& wrong) {
  std::vector<uint64_t> version(blocks, 0);
  alignas(4096) static thread_local uint64_t block[16 * 512];
  for (int i = 0; i < 1500 && !wrong; i++) {
    seed = seed * 1103515245 + 12345;
    uint64_t b = (seed >> 8) % blocks;
    uint64_t n = std::min<uint64_t>(1 + (seed >> 28), blocks - b);
    if (seed & 64) {
      for (uint64_t k = 0; k < n; k++) {
        version[b + k]++;
        for (int w = 0; w < 512; w += 2) {
          block[k * 512 + w] = begin + b + k;
          block[k * 512 + w + 1] = version[b + k];
        }
      }
      if (pwrite(fd, block, n * 4096, (begin + b) * 4096) != static_cast<ssize_t>(n * 4096)) wrong++;
    } else {
      if (pread(fd, block, n * 4096, (begin + b) * 4096) != static_cast<ssize_t>(n * 4096)) wrong++;
      for (uint64_t k = 0; k < n; k++) {
        for (int w = 0; w < 512; w += 2) {
          if (block[k * 512 + w + 1] != version[b + k]) wrong++;
          if (version[b + k] && block[k * 512 + w] != begin + b + k) wrong++;
        }
      }
    }
    if (i % 100 == 0 && fdatasync(fd) != 0) wrong++;
  }
}

}  // namespace

MOUNT_TEST("eight threads of mixed I/O read what they wrote, direct and cached") {
  for (auto cache : {fuse::CacheMode::direct, fuse::CacheMode::cached}) {
    for (int flags : {O_RDWR, O_RDWR | O_DIRECT}) {
      MountedVolume v([&](auto& o) { o.cache = cache; });
      int fd = v.open(flags);
      CHECK(fd >= 0);
      std::atomic<int> wrong{0};
      std::vector<std::thread> threads;
      for (unsigned i = 0; i < 8; i++) {
        threads.emplace_back([&, i] { mixed_io(fd, i * 1024, 1024, i + 1, wrong); });
      }
      for (auto& t : threads) t.join();
      CHECK_EQ(wrong.load(), 0);
      close(fd);
      CHECK_EQ(v.command('c'), 'k');
      CHECK(v.shared->writes > 0);
      CHECK(v.shared->bytes_written > 0);
      CHECK_EQ(v.shared->in_flight.load(), 0);
      CHECK_EQ(v.shared->errors.load(), 0);
    }
  }
}

MOUNT_TEST("a slow flush does not hold up reads") {
  MountedVolume v;
  int fd = v.open();
  char block[4096] = {};
  for (int i = 0; i < 200; i++) CHECK_EQ(pread(fd, block, sizeof block, 0), 4096);  // makes the session busy
  v.device.shared().flush_delay_us = 1'000'000;
  std::thread flusher([&] { CHECK_EQ(fsync(fd), 0); });
  usleep(50'000);
  auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 20; i++) CHECK_EQ(pread(fd, block, sizeof block, 0), 4096);
  CHECK(seconds_since(start) < 0.5);
  flusher.join();
  close(fd);
}

MOUNT_TEST("a device that waits is given more threads, up to the bound") {
  MountedVolume v({}, MountedVolume::kSize, 8);
  v.device.shared().delay_us = 5000;
  int fd = v.open();
  auto start = std::chrono::steady_clock::now();
  std::vector<std::thread> readers;
  for (int i = 0; i < 16; i++) {
    readers.emplace_back([&, i] {
      char block[4096];
      for (int k = 0; k < 40; k++) CHECK_EQ(pread(fd, block, sizeof block, i * 4096), 4096);
    });
  }
  for (auto& t : readers) t.join();
  // 640 reads of 5 ms: 3.2 s by one thread; by eight, 0.4 s.
  CHECK(seconds_since(start) < 1.6);
  CHECK_EQ(v.command('c'), 'k');
  CHECK(v.shared->threads <= 8);
  close(fd);
}

MOUNT_TEST("an idle volume gives its threads back") {
  MountedVolume v;
  int fd = v.open();
  char block[4096] = {};
  std::vector<std::thread> readers;
  for (int i = 0; i < 4; i++) {
    readers.emplace_back([&] {
      char b[4096];
      for (int k = 0; k < 2000; k++) (void)!pread(fd, b, sizeof b, 0);
    });
  }
  for (auto& t : readers) t.join();
  usleep(5'000'000);
  CHECK_EQ(v.command('c'), 'k');
  CHECK(v.shared->threads <= 3);
  CHECK_EQ(pread(fd, block, sizeof block, 0), 4096);
  close(fd);
}

MOUNT_TEST("two dozen busy volumes on few threads are all served") {
  constexpr int kVolumes = 24;
  TempDir t;
  RamDevice device(1 << 20);
  int ready[2], stop[2];
  CHECK_EQ(pipe(ready), 0);
  CHECK_EQ(pipe(stop), 0);
  fflush(nullptr);
  pid_t child = fork();
  if (child == 0) {
    close(stop[1]);
    {
      fuse::ServerOptions server_options;
      server_options.threads_max = 8;
      fuse::Server server(server_options);
      for (int i = 0; i < kVolumes; i++) {
        fuse::MountOptions options;
        options.mount_point = t.path + "/" + std::to_string(i);
        mkdir(options.mount_point.c_str(), 0700);
        fuse::Error error;
        if (!server.mount(device, options, error)) _exit(1);
      }
      (void)!write(ready[1], "r", 1);
      char c;
      (void)!read(stop[0], &c, 1);
    }
    for (int i = 0; i < kVolumes; i++) rmdir((t.path + "/" + std::to_string(i)).c_str());
    std::exit(0);
  }
  char c;
  CHECK_EQ(read(ready[0], &c, 1), 1);
  auto* done = static_cast<std::atomic<int>*>(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  auto start = std::chrono::steady_clock::now();
  std::vector<std::thread> clients;
  for (int i = 0; i < kVolumes; i++) {
    clients.emplace_back([&, i] {
      int fd = open((t.path + "/" + std::to_string(i) + "/data").c_str(), O_RDWR | O_CLOEXEC);
      char block[4096];
      int n = 0;
      while (seconds_since(start) < 2.0) n += pread(fd, block, sizeof block, 0) == 4096;
      done[i] = n;
      close(fd);
    });
  }
  for (auto& client : clients) client.join();
  int least = done[0], most = done[0];
  for (int i = 0; i < kVolumes; i++) {
    least = std::min(least, done[i].load());
    most = std::max(most, done[i].load());
  }
  std::printf("  reads in 2 s of each of %d volumes: %d to %d\n", kVolumes, least, most);
  close(stop[1]);
  int status;
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK_EQ(status, 0);
  CHECK(least > 50);
  CHECK(least * 10 > most);
}

CHECK_MAIN()
