#include "map_tree.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace galleonfs::store {
namespace {

bool all_zero(const void* page) {
  static constexpr std::byte zero[kPageBytes]{};
  return std::memcmp(page, zero, kPageBytes) == 0;
}

Location leaf_location(const Page& page, uint64_t block) {
  return Location::from_raw(page.as<uint64_t>()[block % kLeafEntries]);
}

}  // namespace

uint32_t tree_height(uint64_t blocks) {
  const uint64_t leaves = (blocks + kLeafEntries - 1) >> kLeafShift;
  uint32_t height = 1;
  while ((1ULL << kNodeShift * height) < leaves) height++;
  return height;
}

int MapTree::read(const Subtree& tree, Page* page) const noexcept {
  return file_.read(tree.pointer, page, tree.level == 0 ? "map page" : "map node",
                    (tree.first_leaf << kLeafShift) * block_size_);
}

int MapTree::lookup(const TreeRoot& root, uint64_t first, uint32_t count, Location* out) const noexcept {
  const uint64_t leaf = first >> kLeafShift;
  Subtree at{root.pointer, root.height, 0};
  while (at.pointer) {
    Page page;
    if (const int error = read(at, &page)) return error;
    if (at.level == 0) {
      for (uint32_t i = 0; i < count; i++) out[i] = leaf_location(page, first + i);
      return 0;
    }
    const uint32_t child = leaf >> kNodeShift * (at.level - 1) & (kNodeEntries - 1);
    at.level--;
    at.first_leaf = leaf >> kNodeShift * at.level << kNodeShift * at.level;
    at.pointer = page.as<PagePointer>()[child];
  }
  std::fill_n(out, count, Location());
  return 0;
}

int MapTree::next_leaf(const TreeRoot& root, uint64_t leaf, uint64_t* found) const noexcept {
  *found = UINT64_MAX;
  return next_leaf_in({root.pointer, root.height, 0}, leaf, found);
}

int MapTree::next_leaf_in(const Subtree& tree, uint64_t leaf, uint64_t* found) const noexcept {
  if (!tree.pointer || leaf >= tree.end_leaf()) return 0;
  if (tree.level == 0) {
    *found = tree.first_leaf;
    return 0;
  }
  Page page;
  if (const int error = read(tree, &page)) return error;
  const uint64_t step = 1ULL << kNodeShift * (tree.level - 1);
  const uint64_t start = leaf <= tree.first_leaf ? 0 : (leaf - tree.first_leaf) / step;
  for (uint64_t i = start; i < kNodeEntries && *found == UINT64_MAX; i++) {
    const Subtree child{page.as<PagePointer>()[i], tree.level - 1, tree.first_leaf + i * step};
    if (const int error = next_leaf_in(child, leaf, found)) return error;
  }
  return 0;
}

int MapTree::merge(const TreeRoot& root, const Merge& merge, TreeRoot* result) {
  result->height = root.height;
  return merge_subtree({root.pointer, root.height, 0}, merge, merge.entries, &result->pointer);
}

int MapTree::merge_subtree(const Subtree& tree, const Merge& merge, std::span<const DeltaEntry> entries,
                           PagePointer* result) {
  bool touched = !entries.empty();
  Subtree kept = tree;
  for (const LeafRange& range : merge.ranges) {
    if (range.end_leaf <= tree.first_leaf || tree.end_leaf() <= range.first_leaf) continue;
    if (range.first_leaf <= tree.first_leaf && tree.end_leaf() <= range.end_leaf) {
      drop_subtree(kept, merge);
      kept.pointer = {};
    } else {
      touched = true;
    }
  }
  if (!touched || (!kept.pointer && entries.empty())) {
    *result = kept.pointer;
    return 0;
  }
  return tree.level == 0 ? merge_leaf(kept, merge, entries, result) : merge_node(kept, merge, entries, result);
}

int MapTree::merge_leaf(const Subtree& tree, const Merge& merge, std::span<const DeltaEntry> entries,
                        PagePointer* result) {
  alignas(8) uint64_t leaf[kLeafEntries] = {};
  if (tree.pointer) {
    Page page;
    if (read(tree, &page) != 0) {
      merge.unmerged->insert(merge.unmerged->end(), entries.begin(), entries.end());
      *result = tree.pointer;
      return 0;
    }
    std::memcpy(leaf, page.bytes(), kPageBytes);
    file_.free_page(tree.pointer.page);
  }
  for (const DeltaEntry& entry : entries) {
    uint64_t& held = leaf[entry.block % kLeafEntries];
    if (held != 0) merge.dead(Location::from_raw(held));
    held = entry.location.hole() ? 0 : entry.location.raw();
  }
  if (all_zero(leaf)) {
    *result = {};
    return 0;
  }
  return file_.write_page(leaf, merge.birth, result);
}

int MapTree::merge_node(const Subtree& tree, const Merge& merge, std::span<const DeltaEntry> entries,
                        PagePointer* result) {
  PagePointer node[kNodeEntries] = {};
  if (tree.pointer) {
    Page page;
    if (read(tree, &page) != 0) {
      merge.unmerged->insert(merge.unmerged->end(), entries.begin(), entries.end());
      *result = tree.pointer;
      return 0;
    }
    std::memcpy(node, page.bytes(), kPageBytes);
  }
  const uint64_t step = 1ULL << kNodeShift * (tree.level - 1);
  bool changed = !tree.pointer;
  auto from = entries.begin();
  for (uint64_t i = 0; i < kNodeEntries; i++) {
    const Subtree child{node[i], tree.level - 1, tree.first_leaf + i * step};
    const uint64_t end_block = child.end_leaf() << kLeafShift;
    const auto to = std::find_if(from, entries.end(), [&](const DeltaEntry& entry) { return entry.block >= end_block; });
    PagePointer merged;
    if (const int error = merge_subtree(child, merge, {from, to}, &merged)) return error;
    changed = changed || merged.page != node[i].page || !(merged.hash == node[i].hash);
    node[i] = merged;
    from = to;
  }
  if (!changed) {
    *result = tree.pointer;
    return 0;
  }
  if (tree.pointer) file_.free_page(tree.pointer.page);
  if (all_zero(node)) {
    *result = {};
    return 0;
  }
  return file_.write_page(node, merge.birth, result);
}

void MapTree::drop_subtree(const Subtree& tree, const Merge& merge) {
  if (!tree.pointer) return;
  Page page;
  // The locations under a damaged page stay counted as live: space is lost, no data.
  if (read(tree, &page) != 0) return;
  if (tree.level == 0) {
    for (uint32_t i = 0; i < kLeafEntries; i++) {
      if (const Location location = leaf_location(page, i); location.raw() != 0) merge.dead(location);
    }
  } else {
    const uint64_t step = 1ULL << kNodeShift * (tree.level - 1);
    for (uint32_t i = 0; i < kNodeEntries; i++) {
      drop_subtree({page.as<PagePointer>()[i], tree.level - 1, tree.first_leaf + i * step}, merge);
    }
  }
  file_.free_page(tree.pointer.page);
}

}  // namespace galleonfs::store
