// The map's pages: logical block -> location, a radix tree of copy-on-write pages.
// A tree of height h has 128^h leaves of 512 locations; a missing page maps to holes.
// Readers walk a root they loaded under an epoch guard; only the checkpoint makes a new one.
#pragma once
#include <functional>
#include <span>

#include "delta.h"
#include "map_file.h"

namespace galleonfs::store {

struct TreeRoot {
  PagePointer pointer;
  uint32_t height = 1;
};

// Levels needed for this many logical blocks.
uint32_t tree_height(uint64_t blocks);

class MapTree {
 public:
  MapTree(MapFile& file, uint32_t block_size) : file_(file), block_size_(block_size) {}

  // Locations of `count` blocks of one leaf. 0 or EIO.
  int lookup(const TreeRoot& root, uint64_t first, uint32_t count, Location* out) const noexcept;

  // First leaf at or after `leaf` that has a page; UINT64_MAX if none. 0 or EIO.
  int next_leaf(const TreeRoot& root, uint64_t leaf, uint64_t* found) const noexcept;

  struct Merge {
    std::span<const DeltaEntry> entries;  // sorted by block
    std::span<const LeafRange> ranges;    // discards older than every entry
    uint64_t birth = 0;
    std::function<void(Location)> dead;       // a location the tree no longer holds
    std::vector<DeltaEntry>* unmerged = nullptr;  // entries whose leaf is damaged: they must stay in the delta
  };
  // Builds the tree with the merge applied. 0, EIO of writing, or ENOSPC: then `result` is not to be used.
  int merge(const TreeRoot& root, const Merge& merge, TreeRoot* result);

 private:
  struct Subtree {
    PagePointer pointer;
    uint32_t level;  // 0: leaf
    uint64_t first_leaf;
    uint64_t end_leaf() const { return first_leaf + (1ULL << kNodeShift * level); }
  };
  int merge_subtree(const Subtree& tree, const Merge& merge, std::span<const DeltaEntry> entries, PagePointer* result);
  int merge_leaf(const Subtree& tree, const Merge& merge, std::span<const DeltaEntry> entries, PagePointer* result);
  int merge_node(const Subtree& tree, const Merge& merge, std::span<const DeltaEntry> entries, PagePointer* result);
  void drop_subtree(const Subtree& tree, const Merge& merge);
  int next_leaf_in(const Subtree& tree, uint64_t leaf, uint64_t* found) const noexcept;
  int read(const Subtree& tree, Page* page) const noexcept;

  MapFile& file_;
  uint32_t block_size_;
};

}  // namespace galleonfs::store
