// A cache of 4 KiB pages with a fixed budget, shared by all stores of the process. Holds clean pages only.
// Sharded; each shard evicts by CLOCK. A page in use is pinned by its PageRef and not evicted.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "format.h"

namespace galleonfs::store {

struct PageKey {
  uint64_t file = 0;  // from PageCache::new_file(): one for each life of a file
  uint64_t page = 0;
  bool operator==(const PageKey&) const = default;
};

class PageCache {
 public:
  explicit PageCache(size_t bytes);
  ~PageCache();
  PageCache(const PageCache&) = delete;
  PageCache& operator=(const PageCache&) = delete;

  struct Frame {
    PageKey key;
    std::atomic<uint32_t> pins{0};
    std::atomic<bool> recent{false};
    bool valid = false;
    std::byte* bytes = nullptr;
  };

  // Keeps a page's bytes in place while it lives; empty if the page is not cached.
  class Ref {
   public:
    Ref() = default;
    explicit Ref(Frame* frame) : frame_(frame) {}
    Ref(Ref&& other) noexcept : frame_(other.frame_) { other.frame_ = nullptr; }
    Ref& operator=(Ref&& other) noexcept {
      std::swap(frame_, other.frame_);
      return *this;
    }
    ~Ref() {
      if (frame_ != nullptr) frame_->pins.fetch_sub(1, std::memory_order_release);
    }
    explicit operator bool() const { return frame_ != nullptr; }
    const std::byte* bytes() const { return frame_->bytes; }
    template <class T>
    const T* as() const {
      return reinterpret_cast<const T*>(frame_->bytes);
    }

   private:
    Frame* frame_ = nullptr;
  };

  uint64_t new_file() { return next_file_.fetch_add(1, std::memory_order_relaxed); }
  Ref find(PageKey key);
  // Copies the page in, replacing what was there. May be refused when every frame is pinned: the cache is a hint.
  void insert(PageKey key, const void* bytes);
  void erase(PageKey key);

 private:
  struct KeyHash {
    size_t operator()(const PageKey& key) const { return (key.file * 0x9E3779B97F4A7C15 ^ key.page) * 0xD6E8FEB86659FD93; }
  };
  struct Shard {
    std::mutex mutex;  // guards index, hand and every frame's key, valid and bytes while unpinned
    std::unordered_map<PageKey, Frame*, KeyHash> index;
    std::vector<std::unique_ptr<Frame>> frames;
    size_t hand = 0;
    size_t capacity = 0;
  };
  static constexpr size_t kShards = 16;
  Shard& shard(PageKey key) { return shards_[KeyHash{}(key) >> 60]; }
  Frame* take_frame(Shard& shard);

  std::array<Shard, kShards> shards_;
  std::byte* memory_ = nullptr;
  size_t capacity_pages_ = 0;
  std::atomic<uint64_t> next_file_{1};
};

}  // namespace galleonfs::store
