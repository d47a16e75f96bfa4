// A small store on a fake disk whose files a fuzzer changes before it is opened again.
#pragma once
#include <algorithm>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "disk/fake_disk.h"
#include "store/format.h"
#include "store/page_cache.h"
#include "store/store.h"
#include "store/summary.h"

namespace galleonfs::fuzz {

class StoreImage {
 public:
  StoreImage() : cache_(1 << 20) {
    auto random = std::make_shared<std::mt19937_64>(1);
    environment_.cache = &cache_;
    environment_.random = [random](void* into, size_t length) {
      for (size_t i = 0; i < length; i++) static_cast<uint8_t*>(into)[i] = static_cast<uint8_t>((*random)());
    };
    options_.background = false;
    store::CreateOptions create;
    create.size_bytes = 1 << 20;
    require(!store::Store::create(*storage.attach(), create, environment_));
    open();
    std::vector<std::byte> bytes(32 * 4096, std::byte{0x5A});
    require(store_->write(0, bytes.data(), bytes.size(), true) == 0);
    require(!store_->checkpoint());
    // Entries after the checkpoint: food for the replay.
    require(store_->write(4096 * 30, bytes.data(), 8 * 4096, false) == 0);
    require(store_->discard(0, 8 * 4096) == 0);
    storage.kill();
    store_.reset();
  }

  // The first 64 KiB of a file: all but the payload of segments.
  std::vector<std::byte> contents(const std::string& name) const { return storage.contents(name, 64 << 10); }
  void put(const std::string& name, uint64_t offset, const void* bytes, size_t length) {
    std::unique_ptr<disk::File> file;
    require(storage.attach()->open(name, false, &file) == 0);
    require(file->write(offset, bytes, length) == 0);
  }

  // Opens, uses and closes it: whatever the files hold, only errors may come of it.
  void exercise() {
    if (store::Store::open(storage.attach(), options_, environment_, &store_)) return;
    std::vector<std::byte> bytes(8 * 4096);
    const uint64_t size = std::min<uint64_t>(store_->size_bytes(), 2 << 20);
    for (uint64_t offset = 0; offset + bytes.size() <= size; offset += 4 * bytes.size()) {
      (void)store_->read(offset, bytes.data(), bytes.size());
      if (offset % (256 << 10) == 0) (void)store_->write(offset + 100, bytes.data(), 5000, false);
    }
    uint64_t found = 0;
    (void)store_->seek(0, true, &found);
    (void)store_->discard(0, size);
    uint64_t rewritten = 0;
    (void)store_->compact(1, &rewritten);
    (void)store_->flush();
    (void)store_->damage();
    (void)store_->close();
    store_.reset();
  }

  disk::FakeStorage storage;

 private:
  static void require(bool holds) {
    if (!holds) __builtin_trap();
  }
  void open() { require(!store::Store::open(storage.attach(), options_, environment_, &store_)); }

  store::PageCache cache_;
  store::Environment environment_;
  store::OpenOptions options_;
  std::unique_ptr<store::Store> store_;
};

// Lays the input over `bytes`: pairs of (u16 offset, u8 value) - small changes find more than noise.
inline void lay_over(const uint8_t* data, size_t size, std::byte* bytes, size_t length) {
  for (size_t i = 0; i + 3 <= size; i += 3) {
    const size_t offset = (size_t{data[i]} << 8 | data[i + 1]) % length;
    bytes[offset] = static_cast<std::byte>(data[i + 2]);
  }
}

}  // namespace galleonfs::fuzz
