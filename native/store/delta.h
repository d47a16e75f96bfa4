// The delta table: map updates that are not in the map's pages yet, in three layers, newest first:
//   active      publications since the last freeze
//   frozen      what the running checkpoint merges into pages (empty between checkpoints)
//   stragglers  entries of leaves too thinly updated to be worth a page; persisted whole at each checkpoint
// In each layer an entry of a block is newer than any range that covers it. Sharded by map leaf, so that all of a
// leaf's entries change hands under one lock.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <shared_mutex>
#include <vector>

#include "format.h"
#include "location.h"

namespace galleonfs::store {

// Open addressing, linear probing, at most half full; keys are never removed (a discarded block keeps an entry).
class BlockTable {
 public:
  // Returns the slot of the block, inserting a hole if it is new.
  Location& at(uint64_t block);
  const Location* find(uint64_t block) const;
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  template <class Visit>
  void for_each(Visit&& visit) {
    for (Cell& cell : cells_) {
      if (cell.key != 0) visit(cell.key - 1, cell.location);
    }
  }
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (const Cell& cell : cells_) {
      if (cell.key != 0) visit(cell.key - 1, cell.location);
    }
  }

 private:
  struct Cell {
    uint64_t key = 0;  // block + 1
    Location location;
  };
  static size_t hash(uint64_t block) { return block * 0x9E3779B97F4A7C15 >> 24; }
  void grow();
  std::vector<Cell> cells_;
  size_t size_ = 0;
};

// Whole leaves discarded: [first_leaf, end_leaf) reads as zeros since `record`.
struct LeafRange {
  uint64_t first_leaf = 0;
  uint64_t end_leaf = 0;
  Location record;
};

struct DeltaEntry {
  uint64_t block = 0;
  Location location;
};

class Delta {
 public:
  // Blocks block.. are in slots first.. of one segment: published where newer than what the active layer has.
  void publish(uint64_t block, uint64_t count, Location first);
  // Blocks [first, end) are discarded by `record`.
  void discard(uint64_t first, uint64_t end, Location record);

  // Looks up blocks of one leaf: out[i] for first + i. Sets found[i] where a layer answers; `unanswered` counts the rest.
  // Runs `under_lock` (load the map root) while the answer cannot change.
  template <class UnderLock>
  uint32_t lookup(uint64_t first, uint32_t count, Location* out, bool* found, UnderLock&& under_lock) const {
    const Shard& shard = shard_of(first >> kLeafShift);
    const std::shared_lock lock(shard.mutex);
    const uint32_t unanswered = lookup_locked(shard, first, count, out, found);
    under_lock();
    return unanswered;
  }

  // Active becomes frozen. No publication may be under way, and frozen must be empty.
  void freeze();
  // The frozen layer (only the checkpoint reads it whole, and nobody changes it).
  std::vector<DeltaEntry> frozen_entries() const;
  std::vector<LeafRange> frozen_ranges() const;
  std::vector<DeltaEntry> stragglers() const;
  // The merge is in the pages: frozen goes, `stragglers` replaces the old ones.
  void thaw(const std::vector<DeltaEntry>& stragglers);
  // A checkpoint failed before its superblock: frozen goes back below active.
  void unfreeze();

  // Publications not merged yet: active and frozen.
  size_t unmerged_entries() const { return active_entries() + frozen_entries_.load(std::memory_order_relaxed); }
  // Map leaves they touch, at least: what the next checkpoints may have to write.
  size_t unmerged_leaves() const {
    return active_leaves_.load(std::memory_order_relaxed) + frozen_leaves_.load(std::memory_order_relaxed);
  }
  size_t active_entries() const { return active_entries_.load(std::memory_order_relaxed); }
  size_t straggler_count() const { return straggler_count_.load(std::memory_order_relaxed); }
  // Leaves with any entry or range start at or after `leaf`, sorted, over all layers.
  std::vector<uint64_t> leaves_with_data(uint64_t from_leaf) const;

 private:
  struct Layer {
    BlockTable blocks;
    std::vector<LeafRange> ranges;  // in order of publication; the last that covers a leaf is the newest
    BlockTable leaves;              // of `blocks`: a set, the locations are not used
  };
  struct Shard {
    mutable std::shared_mutex mutex;  // guards all below
    Layer active, frozen, stragglers;
  };
  static constexpr size_t kShards = 64;
  static size_t shard_index(uint64_t leaf) { return leaf * 0x9E3779B97F4A7C15 >> 58; }
  Shard& shard_of(uint64_t leaf) { return shards_[shard_index(leaf)]; }
  const Shard& shard_of(uint64_t leaf) const { return shards_[shard_index(leaf)]; }
  std::vector<DeltaEntry> sorted_entries(const Layer Shard::* layer) const;
  // Publishes one leaf's part of something; counts what is new.
  template <class Change>
  void change_leaf(Shard& shard, uint64_t leaf, Change&& change);
  static uint32_t lookup_locked(const Shard& shard, uint64_t first, uint32_t count, Location* out, bool* found);

  std::array<Shard, kShards> shards_;
  std::atomic<size_t> active_entries_{0};
  std::atomic<size_t> frozen_entries_{0};
  std::atomic<size_t> active_leaves_{0};  // a range counts as the two leaves at its ends
  std::atomic<size_t> frozen_leaves_{0};
  std::atomic<size_t> straggler_count_{0};
};

}  // namespace galleonfs::store
