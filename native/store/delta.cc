#include "delta.h"

#include <algorithm>
#include <mutex>
#include <utility>

namespace galleonfs::store {

Location& BlockTable::at(uint64_t block) {
  if (2 * (size_ + 1) > cells_.size()) grow();
  const size_t mask = cells_.size() - 1;
  for (size_t i = hash(block) & mask;; i = (i + 1) & mask) {
    Cell& cell = cells_[i];
    if (cell.key == block + 1) return cell.location;
    if (cell.key == 0) {
      cell.key = block + 1;
      size_++;
      return cell.location;
    }
  }
}

const Location* BlockTable::find(uint64_t block) const {
  if (size_ == 0) return nullptr;
  const size_t mask = cells_.size() - 1;
  for (size_t i = hash(block) & mask;; i = (i + 1) & mask) {
    const Cell& cell = cells_[i];
    if (cell.key == block + 1) return &cell.location;
    if (cell.key == 0) return nullptr;
  }
}

void BlockTable::grow() {
  std::vector<Cell> old = std::exchange(cells_, std::vector<Cell>(std::max<size_t>(64, cells_.size() * 2)));
  const size_t mask = cells_.size() - 1;
  for (const Cell& cell : old) {
    if (cell.key == 0) continue;
    size_t i = hash(cell.key - 1) & mask;
    while (cells_[i].key != 0) i = (i + 1) & mask;
    cells_[i] = cell;
  }
}

namespace {

const LeafRange* newest_range(const std::vector<LeafRange>& ranges, uint64_t leaf) {
  for (auto range = ranges.rbegin(); range != ranges.rend(); ++range) {
    if (range->first_leaf <= leaf && leaf < range->end_leaf) return &*range;
  }
  return nullptr;
}

}  // namespace

// Under the shard's lock.
template <class Change>
void Delta::change_leaf(Shard& shard, uint64_t leaf, Change&& change) {
  const size_t entries = shard.active.blocks.size();
  const size_t leaves = shard.active.leaves.size();
  change();
  (void)shard.active.leaves.at(leaf);
  active_entries_.fetch_add(shard.active.blocks.size() - entries, std::memory_order_relaxed);
  active_leaves_.fetch_add(shard.active.leaves.size() - leaves, std::memory_order_relaxed);
}

void Delta::publish(uint64_t block, uint64_t count, Location first) {
  uint64_t at = 0;
  while (at < count) {
    const uint64_t leaf = (block + at) >> kLeafShift;
    const uint64_t end = std::min(count, ((leaf + 1) << kLeafShift) - block);
    Shard& shard = shard_of(leaf);
    const std::lock_guard lock(shard.mutex);
    const LeafRange* range = shard.active.ranges.empty() ? nullptr : newest_range(shard.active.ranges, leaf);
    change_leaf(shard, leaf, [&] {
      for (; at < end; at++) {
        const Location location(first.segment(), first.slot() + static_cast<uint32_t>(at));
        if (range != nullptr && !location.newer_than(range->record)) continue;
        Location& held = shard.active.blocks.at(block + at);
        if (location.newer_than(held)) held = location;
      }
    });
  }
}

void Delta::discard(uint64_t first, uint64_t end, Location record) {
  const uint64_t first_leaf = (first + kLeafEntries - 1) >> kLeafShift;
  const uint64_t end_leaf = end >> kLeafShift;
  const auto discard_blocks = [&](uint64_t from, uint64_t to) {
    while (from < to) {
      const uint64_t leaf = from >> kLeafShift;
      const uint64_t stop = std::min(to, (leaf + 1) << kLeafShift);
      Shard& shard = shard_of(leaf);
      const std::lock_guard lock(shard.mutex);
      change_leaf(shard, leaf, [&] {
        for (; from < stop; from++) {
          Location& held = shard.active.blocks.at(from);
          if (record.newer_than(held)) held = record;
        }
      });
    }
  };
  if (first_leaf >= end_leaf) return discard_blocks(first, end);
  discard_blocks(first, first_leaf << kLeafShift);
  discard_blocks(end_leaf << kLeafShift, end);
  active_leaves_.fetch_add(2, std::memory_order_relaxed);
  for (Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    std::vector<LeafRange>& ranges = shard.active.ranges;
    // A range inside the new one says nothing any more.
    std::erase_if(ranges, [&](const LeafRange& r) { return first_leaf <= r.first_leaf && r.end_leaf <= end_leaf; });
    ranges.push_back({first_leaf, end_leaf, record});
    active_entries_.fetch_add(1, std::memory_order_relaxed);
    shard.active.blocks.for_each([&](uint64_t block, Location& location) {
      const uint64_t leaf = block >> kLeafShift;
      if (first_leaf <= leaf && leaf < end_leaf && record.newer_than(location)) location = record;
    });
  }
}

uint32_t Delta::lookup_locked(const Shard& shard, uint64_t first, uint32_t count, Location* out, bool* found) {
  std::fill_n(found, count, false);
  uint32_t unanswered = count;
  for (const Layer* layer : {&shard.active, &shard.frozen, &shard.stragglers}) {
    if (!layer->blocks.empty()) {
      for (uint32_t i = 0; i < count; i++) {
        if (found[i]) continue;
        if (const Location* location = layer->blocks.find(first + i)) {
          out[i] = *location;
          found[i] = true;
          unanswered--;
        }
      }
    }
    if (unanswered == 0) break;
    if (layer->ranges.empty()) continue;
    if (const LeafRange* range = newest_range(layer->ranges, first >> kLeafShift)) {
      for (uint32_t i = 0; i < count; i++) {
        if (!found[i]) {
          out[i] = range->record;
          found[i] = true;
        }
      }
      return 0;
    }
  }
  return unanswered;
}

void Delta::freeze() {
  for (Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    shard.frozen = std::exchange(shard.active, {});
  }
  frozen_entries_.store(active_entries_.exchange(0, std::memory_order_relaxed), std::memory_order_relaxed);
  frozen_leaves_.store(active_leaves_.exchange(0, std::memory_order_relaxed), std::memory_order_relaxed);
}

void Delta::unfreeze() {
  for (Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    Layer newer = std::exchange(shard.active, std::exchange(shard.frozen, {}));
    for (const LeafRange& range : newer.ranges) {
      shard.active.ranges.push_back(range);
      shard.active.blocks.for_each([&](uint64_t block, Location& location) {
        const uint64_t leaf = block >> kLeafShift;
        if (range.first_leaf <= leaf && leaf < range.end_leaf) location = range.record;
      });
    }
    newer.blocks.for_each([&](uint64_t block, Location& location) {
      shard.active.blocks.at(block) = location;
      (void)shard.active.leaves.at(block >> kLeafShift);
    });
  }
  size_t entries = 0;
  size_t leaves = 0;
  for (Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    entries += shard.active.blocks.size() + shard.active.ranges.size();
    leaves += shard.active.leaves.size();
    if (&shard == &shards_.front()) leaves += 2 * shard.active.ranges.size();
  }
  active_entries_.store(entries, std::memory_order_relaxed);
  active_leaves_.store(leaves, std::memory_order_relaxed);
  frozen_entries_.store(0, std::memory_order_relaxed);
  frozen_leaves_.store(0, std::memory_order_relaxed);
}

std::vector<DeltaEntry> Delta::sorted_entries(const Layer Shard::* layer) const {
  std::vector<DeltaEntry> entries;
  for (const Shard& shard : shards_) {
    const std::shared_lock lock(shard.mutex);
    (shard.*layer).blocks.for_each([&](uint64_t block, Location location) { entries.push_back({block, location}); });
  }
  std::sort(entries.begin(), entries.end(), [](const DeltaEntry& a, const DeltaEntry& b) { return a.block < b.block; });
  return entries;
}

std::vector<DeltaEntry> Delta::frozen_entries() const { return sorted_entries(&Shard::frozen); }

std::vector<DeltaEntry> Delta::stragglers() const { return sorted_entries(&Shard::stragglers); }

std::vector<LeafRange> Delta::frozen_ranges() const {
  const std::shared_lock lock(shards_[0].mutex);  // ranges are the same in every shard
  return shards_[0].frozen.ranges;
}

void Delta::thaw(const std::vector<DeltaEntry>& stragglers) {
  std::array<std::vector<DeltaEntry>, kShards> by_shard;
  for (const DeltaEntry& entry : stragglers) by_shard[shard_index(entry.block >> kLeafShift)].push_back(entry);
  for (size_t i = 0; i < kShards; i++) {
    Layer layer;
    for (const DeltaEntry& entry : by_shard[i]) layer.blocks.at(entry.block) = entry.location;
    Shard& shard = shards_[i];
    const std::lock_guard lock(shard.mutex);
    shard.frozen = {};
    shard.stragglers = std::move(layer);
  }
  straggler_count_.store(stragglers.size(), std::memory_order_relaxed);
  frozen_entries_.store(0, std::memory_order_relaxed);
  frozen_leaves_.store(0, std::memory_order_relaxed);
}

std::vector<uint64_t> Delta::leaves_with_data(uint64_t from_leaf) const {
  std::vector<uint64_t> leaves;
  for (const Shard& shard : shards_) {
    const std::shared_lock lock(shard.mutex);
    for (const Layer* layer : {&shard.active, &shard.frozen, &shard.stragglers}) {
      layer->blocks.for_each([&](uint64_t block, Location location) {
        const uint64_t leaf = block >> kLeafShift;
        if (leaf >= from_leaf && !location.hole()) leaves.push_back(leaf);
      });
    }
  }
  std::sort(leaves.begin(), leaves.end());
  leaves.erase(std::unique(leaves.begin(), leaves.end()), leaves.end());
  return leaves;
}

}  // namespace galleonfs::store
