// The file of map pages: allocation, verified reading through the cache, batched writing, and chains.
//
// Invariants: a page reachable from either superblock is never written. A page freed while checkpoint N is made is
// reachable from N - 1 and becomes free when N + 1 is durable and no reader is left ("pending" until then).
// Pages are uniform and copy-on-write, so a bitmap with a next-fit cursor needs no cleaning, unlike a log of them.
// The file is reserved on disk, durably, further than its pages are handed out: room() is what checkpoints may take
// without new space, however full the disk has become. Writers see to it that it lasts (see space.cc).
//
// All but read(), room() and make_room() belong to the thread that holds the store's checkpoint mutex.
#pragma once
#include <atomic>
#include <mutex>
#include <span>
#include <vector>

#include "../disk/disk.h"
#include "damage_log.h"
#include "epochs.h"
#include "page_cache.h"

namespace galleonfs::store {

// A verified page: pinned in the cache, or, when the cache had no room, a copy of its own.
class Page {
 public:
  Page() = default;
  explicit Page(PageCache::Ref ref) : ref_(std::move(ref)) {}
  explicit Page(std::unique_ptr<std::byte[]> own) : own_(std::move(own)) {}
  const std::byte* bytes() const { return ref_ ? ref_.bytes() : own_.get(); }
  template <class T>
  const T* as() const {
    return reinterpret_cast<const T*>(bytes());
  }

 private:
  PageCache::Ref ref_;
  std::unique_ptr<std::byte[]> own_;
};

struct CacheCounters {
  std::atomic<uint64_t> hits{0};
  std::atomic<uint64_t> misses{0};
};

class MapFile {
 public:
  MapFile(std::unique_ptr<disk::File> file, PageCache& cache, CacheCounters& counters, DamageLog& damage);

  // Takes over the allocation state of a superblock. False if it cannot be that of this file.
  bool load_bitmap(uint64_t pages, std::span<const uint64_t> used_words, std::span<const uint64_t> pending);

  // 0; EIO: unreadable or not what the pointer's hash says (then logged as `kind`, with the volume offset it maps).
  int read(const PagePointer& pointer, Page* page, const char* kind, uint64_t volume_offset) noexcept;

  // The page as the medium has it, past every cache. 0; EBADMSG: not what the hash says; or why it cannot be read.
  int read_medium(const PagePointer& pointer, std::byte* into) noexcept;
  // Writes a page again in its place, from a cache that still has it. True if the medium is right now.
  bool heal(const PagePointer& pointer) noexcept;

  // Takes a free page and stages the bytes for it. ENOSPC if the file cannot grow.
  int write_page(const void* bytes, uint64_t birth, PagePointer* pointer);
  void free_page(uint64_t page) {
    if (page != 0 && page < pages_) freed_now_.push_back(page);
  }

  // Writes a byte string as a chain of newly taken pages; `pages` gets their numbers, for freeing it later.
  int write_chain(std::span<const std::byte> bytes, uint64_t birth, PagePointer* first, std::vector<uint64_t>* pages);
  int read_chain(const PagePointer& first, std::vector<std::byte>* bytes, std::vector<uint64_t>* pages) noexcept;

  // The bitmap as the checkpoint in progress will leave it, itself included; frees `old_pages` (the previous bitmap).
  int write_bitmap(uint64_t birth, const std::vector<uint64_t>& old_pages, PagePointer* first,
                   std::vector<uint64_t>* pages);

  // Everything staged is written and durable.
  int sync();
  // room() is told anew: after a checkpoint, and when pages were taken or given back beside one.
  void settle();
  // The superblock is durable: what was pending goes free once `epochs` allows, what was freed now is pending.
  void committed(Epochs& epochs);
  // A checkpoint begins: rolled_back() returns to here. What compaction took and freed before stays.
  void begin() { allocated_mark_ = allocated_now_.size(), freed_mark_ = freed_now_.size(); }
  // The checkpoint failed before its superblock: what it allocated is free again.
  void rolled_back();

  // Pages that can be taken without new space, as of the end of the last checkpoint: those the running one has taken
  // still count, as do the updates it merges.
  uint64_t room() const { return room_.load(std::memory_order_relaxed); }
  // Reserves until room() is at least `pages`. ENOSPC, EIO. Any thread.
  int make_room(uint64_t pages);

  uint64_t pages() const { return pages_.load(std::memory_order_relaxed); }

 private:
  bool used(uint64_t page) const { return (used_[page / 64] >> page % 64 & 1) != 0; }
  void set_used(uint64_t page) { used_[page / 64] |= 1ULL << page % 64; }
  // Damaged tables may free a page twice: it counts once.
  void release(uint64_t page) {
    if (!used(page)) return;
    used_[page / 64] &= ~(1ULL << page % 64);
    free_++;
  }
  void release_awaiting();
  int allocate(uint64_t* page);
  int allocate(size_t count, std::vector<uint64_t>* pages);
  int write_chain_to(const std::vector<uint64_t>& pages, std::span<const std::byte> bytes, uint64_t birth,
                     PagePointer* first);
  int write_allocated(uint64_t page, const void* bytes, uint64_t birth, PagePointer* pointer);
  int grow(uint64_t pages);
  int extend(uint64_t to_pages);
  int write_staged();
  void stage(uint64_t page, const void* bytes);

  std::unique_ptr<disk::File> file_;
  PageCache& cache_;
  CacheCounters& counters_;
  DamageLog& damage_;
  uint64_t cache_file_;
  std::vector<uint64_t> used_;
  std::atomic<uint64_t> pages_{0};
  uint64_t free_ = 0;
  std::mutex room_mutex_;  // guards reserved_pages_ and changes of room_
  uint64_t reserved_pages_ = 0;  // of the file's length on disk
  std::atomic<uint64_t> room_{0};
  // A sync for a reservation failed: pages staged before it may be lost, and the next sync would not tell.
  std::atomic<int> sync_failed_{0};
  uint64_t cursor_ = 1;
  std::vector<uint64_t> pending_, freed_now_, allocated_now_;
  size_t allocated_mark_ = 0, freed_mark_ = 0;
  // Unreachable from both superblocks, waiting for readers; still set in used_.
  struct Batch {
    std::vector<uint64_t> pages;
    std::atomic<bool> ready{false};
  };
  std::vector<std::shared_ptr<Batch>> awaiting_;
  struct Staged {
    uint64_t page;
    std::unique_ptr<std::byte[]> bytes;
  };
  std::vector<Staged> staged_;
};

}  // namespace galleonfs::store
