// The store alone, without FUSE: what a read and a write cost, beside plain pread/pwrite on a file of the same directory.
// usage: store_micro DIRECTORY [SECONDS a job] [SIZE MiB] [JOB [SUBJECT]]      prints a JSON object a line
#include <fcntl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <random>
#include <thread>
#include <vector>

#include "disk/file_disk.h"
#include "store/page_cache.h"
#include "store/store.h"

using namespace galleonfs;
using Clock = std::chrono::steady_clock;

namespace {

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6; };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

struct Job {
  const char* name;
  size_t bytes;
  bool write;
  bool sequential;
  bool flush;
  int threads;
};

using Operation = std::function<int(bool write, bool flush, uint64_t offset, std::byte* buffer, size_t length)>;

void run(const char* subject, const Job& job, double seconds, uint64_t size, const Operation& operation) {
  std::atomic<uint64_t> operations{0};
  std::atomic<int> failures{0};
  const double cpu_before = cpu_seconds();
  const auto start = Clock::now();
  const auto end = start + std::chrono::duration<double>(seconds);
  std::vector<std::thread> threads;
  for (int t = 0; t < job.threads; t++) {
    threads.emplace_back([&, t] {
      auto* buffer = static_cast<std::byte*>(std::aligned_alloc(4096, job.bytes));
      std::mt19937_64 random(static_cast<uint64_t>(t));
      for (size_t i = 0; i < job.bytes; i += 8) {
        const uint64_t word = random();
        std::memcpy(buffer + i, &word, 8);
      }
      uint64_t at = size / static_cast<uint64_t>(job.threads) * static_cast<uint64_t>(t);
      uint64_t done = 0;
      while (Clock::now() < end) {
        const uint64_t offset = job.sequential ? (at += job.bytes) % (size - job.bytes) / job.bytes * job.bytes
                                               : random() % (size / job.bytes) * job.bytes;
        if (operation(job.write, job.flush, offset, buffer, job.bytes) != 0) failures++;
        done++;
      }
      operations += done;
      std::free(buffer);
    });
  }
  for (std::thread& thread : threads) thread.join();
  const double took = std::chrono::duration<double>(Clock::now() - start).count();
  const double cpu = cpu_seconds() - cpu_before;
  const auto count = static_cast<double>(operations.load());
  std::printf("{\"subject\":\"%s\",\"job\":\"%s\",\"iops\":%.0f,\"mib_s\":%.0f,\"cpu_us_per_operation\":%.2f,\"failures\":%d}\n",
              subject, job.name, count / took, count / took * static_cast<double>(job.bytes) / (1 << 20), cpu / count * 1e6,
              failures.load());
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return std::fprintf(stderr, "usage: %s DIRECTORY [SECONDS a job] [SIZE MiB] [JOB [SUBJECT]]\n", argv[0]), 2;
  const double seconds = argc > 2 ? std::atof(argv[2]) : 2;
  const uint64_t size = (argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 1024) << 20;
  const std::string base = std::string(argv[1]) + "/galleonfs-micro";
  std::filesystem::create_directory(base);
  std::filesystem::create_directory(base + "/store");

  const int file = open((base + "/raw").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0 || ftruncate(file, static_cast<off_t>(size)) != 0) return std::perror("raw file"), 1;
  const auto cache = store::make_page_cache(64 << 20);
  const store::Environment environment{cache.get(), [](void* into, size_t length) {
                                         if (getrandom(into, length, 0) < 0) std::abort();
                                       }};
  std::unique_ptr<disk::Disk> disk;
  std::unique_ptr<store::Store> store;
  int failed = disk::open_directory(base + "/store", &disk);
  if (failed == 0) {
    store::CreateOptions options;
    options.size_bytes = size;
    const store::Failure failure = store::Store::create(*disk, options, environment);
    if (failure) std::fprintf(stderr, "%s\n", failure.detail.c_str());
    const store::Failure opening = store::Store::open(std::move(disk), {}, environment, &store);
    if (opening) std::fprintf(stderr, "%s\n", opening.detail.c_str());
    failed = failure || opening;
  }
  if (failed == 0) {
    const Operation on_raw = [file](bool write, bool flush, uint64_t offset, std::byte* buffer, size_t length) {
      const auto at = static_cast<off_t>(offset);
      const ssize_t n = write ? pwrite(file, buffer, length, at) : pread(file, buffer, length, at);
      return n == static_cast<ssize_t>(length) && (!flush || fdatasync(file) == 0) ? 0 : 1;
    };
    const Operation on_store = [&store](bool write, bool flush, uint64_t offset, std::byte* buffer, size_t length) {
      return write ? store->write(offset, buffer, length, flush) : store->read(offset, buffer, length);
    };
    const Job jobs[] = {{"write-1M", 1 << 20, true, true, false, 1},      {"write-1M-4", 1 << 20, true, true, false, 4},
                        {"read-1M", 1 << 20, false, true, false, 1},      {"read-1M-4", 1 << 20, false, true, false, 4},
                       
                        {"randread-4k", 4096, false, false, false, 1},    {"randread-4k-2", 4096, false, false, false, 2},
                        {"randwrite-4k", 4096, true, false, false, 1},    {"randwrite-4k-2", 4096, true, false, false, 2},
                        {"write-4k-flush", 4096, true, false, true, 1},   {"write-4k-flush-4", 4096, true, false, true, 4}};
    for (const Job& job : jobs) {
      if (argc > 4 && std::strcmp(argv[4], job.name) != 0) continue;
      if (argc <= 5 || std::strcmp(argv[5], "file") == 0) run("file", job, seconds, size, on_raw);
      if (argc <= 5 || std::strcmp(argv[5], "store") == 0) run("store", job, seconds, size, on_store);
    }
    store->close();
  }
  close(file);
  store.reset();
  std::filesystem::remove_all(base);
  return failed;
}
