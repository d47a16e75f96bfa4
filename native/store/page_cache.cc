#include "page_cache.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <new>

#include "store.h"

namespace galleonfs::store {

PageCache::PageCache(size_t bytes) {
  const size_t per_shard = std::max<size_t>(bytes / kPageBytes / kShards, 16);
  capacity_pages_ = per_shard * kShards;
  // Address space only: a page of memory is used when a page is first cached in it.
  void* memory = ::mmap(nullptr, capacity_pages_ * kPageBytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  memory_ = static_cast<std::byte*>(memory);
  for (Shard& shard : shards_) shard.capacity = per_shard;
}

PageCache::~PageCache() { ::munmap(memory_, capacity_pages_ * kPageBytes); }

PageCache::Ref PageCache::find(PageKey key) {
  Shard& s = shard(key);
  const std::lock_guard lock(s.mutex);
  const auto found = s.index.find(key);
  if (found == s.index.end()) return {};
  found->second->pins.fetch_add(1, std::memory_order_acquire);
  found->second->recent.store(true, std::memory_order_relaxed);
  return Ref(found->second);
}

PageCache::Frame* PageCache::take_frame(Shard& s) {
  if (s.frames.size() < s.capacity) {
    auto frame = std::make_unique<Frame>();
    const size_t shard_index = static_cast<size_t>(&s - shards_.data());
    frame->bytes = memory_ + (shard_index * s.capacity + s.frames.size()) * kPageBytes;
    s.frames.push_back(std::move(frame));
    return s.frames.back().get();
  }
  for (size_t tries = 0; tries < 2 * s.frames.size(); tries++) {
    Frame* frame = s.frames[s.hand].get();
    s.hand = (s.hand + 1) % s.frames.size();
    if (frame->pins.load(std::memory_order_acquire) != 0) continue;
    if (frame->valid && frame->recent.exchange(false, std::memory_order_relaxed)) continue;
    if (frame->valid) s.index.erase(frame->key);
    frame->valid = false;
    return frame;
  }
  return nullptr;
}

void PageCache::insert(PageKey key, const void* bytes) {
  Shard& s = shard(key);
  const std::lock_guard lock(s.mutex);
  if (const auto found = s.index.find(key); found != s.index.end()) {
    Frame* frame = found->second;
    if (frame->pins.load(std::memory_order_acquire) == 0) {
      std::memcpy(frame->bytes, bytes, kPageBytes);
      return;
    }
    // A reader still looks at the old bytes: leave it the frame, which becomes free when it lets go.
    s.index.erase(found);
    frame->valid = false;
  }
  Frame* frame = take_frame(s);
  if (frame == nullptr) return;
  std::memcpy(frame->bytes, bytes, kPageBytes);
  frame->key = key;
  frame->recent.store(false, std::memory_order_relaxed);
  frame->valid = true;
  s.index.emplace(key, frame);
}

void PageCache::erase(PageKey key) {
  Shard& s = shard(key);
  const std::lock_guard lock(s.mutex);
  const auto found = s.index.find(key);
  if (found == s.index.end()) return;
  found->second->valid = false;
  s.index.erase(found);
}

std::unique_ptr<PageCache, void (*)(PageCache*)> make_page_cache(size_t bytes) {
  return {new PageCache(std::max<size_t>(bytes, 1 << 20)), [](PageCache* cache) { delete cache; }};
}

}  // namespace galleonfs::store
