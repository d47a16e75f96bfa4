// A store on a fake disk, deterministic: no background thread, randomness from a seed.
#pragma once
#include <cstring>
#include <mutex>
#include <random>
#include <vector>

#include "check.h"
#include "disk/fake_disk.h"
#include "store/page_cache.h"
#include "store/store.h"

namespace galleonfs {

class StoreFixture {
 public:
  explicit StoreFixture(uint64_t size_bytes = 4 << 20, uint32_t block_size = 4096, uint64_t seed = 1,
                        size_t cache_bytes = 1 << 20)
      : cache_(cache_bytes), random_(std::make_shared<std::mt19937_64>(seed)) {
    environment_.cache = &cache_;
    environment_.random = [random = random_, mutex = std::make_shared<std::mutex>()](void* into, size_t length) {
      const std::lock_guard lock(*mutex);
      for (size_t i = 0; i < length; i++) static_cast<uint8_t*>(into)[i] = static_cast<uint8_t>((*random)());
    };
    options_.size_bytes = size_bytes;
    options_.block_size_bytes = block_size;
    options_.volume_id = {1, 2, 3, 4};
    open_options_.background = false;
    open_options_.checkpoint_bytes = 1 << 20;
  }

  void create() {
    const auto disk = storage.attach();
    const store::Failure failed = store::Store::create(*disk, options_, environment_);
    CHECK_EQ(failed.detail, "");
  }
  store::Failure try_open() { return store::Store::open(storage.attach(), open_options_, environment_, &store_); }
  void open() {
    const store::Failure failed = try_open();
    CHECK_EQ(failed.detail, "");
  }
  void close() {
    const store::Failure failed = store_->close();
    CHECK_EQ(failed.detail, "");
    store_.reset();
  }
  // As close(), where it may fail; why is told.
  store::Failure close_whatever() {
    store::Failure failed = store_->close();
    store_.reset();
    return failed;
  }
  // The process dies: nothing of it reaches the disk any more, what it wrote stays.
  void kill() {
    storage.kill();
    store_.reset();
  }
  void cut_power(uint64_t seed) {
    storage.cut_power(seed);
    store_.reset();
  }
  void reopen() {
    close();
    open();
  }
  store::Store& store() { return *store_; }

  void write(uint64_t offset, const std::vector<std::byte>& bytes, bool durable = false) {
    CHECK_EQ(store_->write(offset, bytes.data(), bytes.size(), durable), 0);
  }
  std::vector<std::byte> read(uint64_t offset, size_t length) {
    std::vector<std::byte> bytes(length);
    CHECK_EQ(store_->read(offset, bytes.data(), length), 0);
    return bytes;
  }
  void checkpoint() {
    const store::Failure failed = store_->checkpoint();
    CHECK_EQ(failed.detail, "");
  }

  disk::FakeStorage storage;
  store::CreateOptions options_;
  store::OpenOptions open_options_;
  store::Environment environment_;

 private:
  store::PageCache cache_;
  std::shared_ptr<std::mt19937_64> random_;
  std::unique_ptr<store::Store> store_;
};

inline std::vector<std::byte> pattern(size_t length, uint64_t seed) {
  std::vector<std::byte> bytes(length);
  std::mt19937_64 random(seed);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

}  // namespace galleonfs
