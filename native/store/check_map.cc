// The map, page by page, with what the journal puts over it: what is live, and whether the counts say so.
#include <algorithm>
#include <cstring>

#include "checker.h"
#include "map_tree.h"

namespace galleonfs::store {
namespace {

// Order does not matter, so a map walked by blocks and segments read by slots come to the same sum.
uint64_t mix(uint64_t block, uint32_t slot) {
  const uint64_t pair[2] = {block, slot};
  return hash64(pair, sizeof pair);
}

}  // namespace

void Checker::walk(const Visit& effective, const Visit& in_pages) {
  walk_ = {&effective, &in_pages, delta_.leaves_with_data(0), 0};
  walk_subtree(base_.superblock.map_root, base_.superblock.height, 0);
  leaves_before(UINT64_MAX);
  first_walk_ = false;
}

void Checker::walk_subtree(const PagePointer& pointer, uint32_t level, uint64_t first_leaf) {
  if (!pointer || !going()) return;
  std::byte* page = level_pages_[level].data();
  const uint64_t offset = std::min(first_leaf << kLeafShift, blocks_) << block_shift_;
  const char* kind = level == 0 ? "map page" : "map node";
  if (first_walk_) claim(pointer.page, kind, offset);
  if (!read_page(pointer, page)) {
    if (first_walk_) {
      find(Severity::damage, in_map(kind, pointer.page, offset, "does not match the hash of what points to it: " +
                                                                    std::to_string(1ULL << (kNodeShift * level + kLeafShift)) +
                                                                    " blocks from here on cannot be found"));
    }
    pages_lost_ = true;
    return;
  }
  if (level == 0) {
    leaves_before(first_leaf);
    leaf(first_leaf, reinterpret_cast<const uint64_t*>(page));
    return;
  }
  const uint64_t step = 1ULL << kNodeShift * (level - 1);
  for (uint64_t i = 0; i < kNodeEntries; i++) {
    walk_subtree(reinterpret_cast<const PagePointer*>(page)[i], level - 1, first_leaf + i * step);
  }
}

// Leaves that only the delta knows of.
void Checker::leaves_before(uint64_t end) {
  alignas(8) static constexpr uint64_t empty[kLeafEntries] = {};
  while (walk_.next_delta_leaf < walk_.delta_leaves.size() && walk_.delta_leaves[walk_.next_delta_leaf] < end) {
    leaf(walk_.delta_leaves[walk_.next_delta_leaf], empty);
  }
}

void Checker::leaf(uint64_t leaf, const uint64_t* raw) {
  auto& next = walk_.next_delta_leaf;
  if (next < walk_.delta_leaves.size() && walk_.delta_leaves[next] == leaf) next++;
  const uint64_t first = leaf << kLeafShift;
  const auto count = static_cast<uint32_t>(first < blocks_ ? std::min<uint64_t>(kLeafEntries, blocks_ - first) : 0);
  Location locations[kLeafEntries];
  bool found[kLeafEntries];
  (void)delta_.lookup(first, count, locations, found, [] {});
  for (uint32_t i = 0; i < count; i++) {
    const Location in_page = Location::from_raw(raw[i]);
    if (raw[i] != 0) (*walk_.in_pages)(first + i, in_page);
    const Location effective = found[i] ? locations[i] : in_page;
    if (!effective.hole()) (*walk_.effective)(first + i, effective);
  }
  if (!first_walk_) return;
  for (uint32_t i = count; i < kLeafEntries; i++) {
    if (raw[i] == 0) continue;
    find(Severity::error, in_map("map page", 0, (first + i) << block_shift_, "the map has blocks beyond the volume's end"));
    return;
  }
}

void Checker::mark_live(uint64_t block, Location location) {
  const auto wrong = [&](std::string detail) {
    Damage place = in_map("map page", 0, block << block_shift_, std::move(detail));
    place.file_offset_bytes = UINT64_MAX;
    place.segment = location.segment();
    place.slot = location.slot();
    find(Severity::damage, std::move(place));
    report_.lost_blocks++;
  };
  report_.live_blocks++;
  Segment* segment = segment_of(location.segment());
  if (segment == nullptr) return wrong("names a segment the table does not have");
  const uint32_t slot = location.slot();
  if (slot >= base_.superblock.slots) return wrong("names a slot beyond its segment");
  if (segment->live_slots.empty()) segment->live_slots.resize((base_.superblock.slots + 63) / 64);
  uint64_t& word = segment->live_slots[slot / 64];
  if ((word >> slot % 64 & 1) != 0) return wrong("names a slot that another block is in");
  word |= 1ULL << slot % 64;
  segment->live++;
  segment->map_sum += mix(block, slot);
}

void Checker::check_map() {
  progress_.total_bytes = base_.superblock.map_pages * kPageBytes;
  for (const Segment& segment : segments_) {
    progress_.total_bytes += (uint64_t{segment.record.live} << block_shift_) + segment.record.slots * sizeof(RawEntry);
  }
  claim_tables();
  const Visit count = [this](uint64_t, Location location) {
    if (Segment* segment = segment_of(location.segment())) segment->counted++;
  };
  const Visit live = [this](uint64_t block, Location location) { mark_live(block, location); };
  walk(live, count);
  for (const DeltaEntry& entry : base_.stragglers) {
    if (!entry.location.hole()) count(entry.block, entry.location);
  }
  uint64_t total = progress_.done_bytes;
  for (const Segment& segment : segments_) total += (uint64_t{segment.live} << block_shift_) + segment.record.slots * sizeof(RawEntry);
  progress_.total_bytes = total;
}

void Checker::check_liveness() {
  uint64_t uncounted = 0;
  for (const Segment& segment : segments_) {
    if (!segment.in_table || segment.counted == segment.record.live) continue;
    if (pages_lost_ && segment.counted < segment.record.live) {
      uncounted++;
      continue;
    }
    find(Severity::error, {.kind = "liveness",
                           .file = "segment-" + std::to_string(segment.record.file_number),
                           .file_offset_bytes = 0,
                           .volume_offset_bytes = UINT64_MAX,
                           .segment = segment.record.id,
                           .slot = 0,
                           .detail = "the table counts " + std::to_string(segment.record.live) + " live slots, the map " +
                                     std::to_string(segment.counted)},
         "count anew");
    plan_.rewrite_tables = true;
  }
  if (uncounted > 0) {
    find(Severity::note, in_map("map page", 0, UINT64_MAX, "the liveness of " + std::to_string(uncounted) +
                                                         " segments cannot be told, because of damaged pages"));
  }
}

}  // namespace galleonfs::store
