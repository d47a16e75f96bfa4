#include "superblock.h"

#include <algorithm>
#include <cstring>

#include "map_tree.h"
#include "summary.h"

namespace galleonfs::store {

SuperblockState check_superblock(const RawSuperblock& s) {
  if (s.magic != kSuperblockMagic) return SuperblockState::damaged;
  // The check is the same in every version, so a newer one can be told from damage.
  if (!(s.check == hash128(&s, offsetof(RawSuperblock, check)))) return SuperblockState::damaged;
  if (s.version > kFormatVersion) return SuperblockState::newer_format;
  const bool block_ok = s.block_size >= kBlockMin && s.block_size <= kBlockMax && std::has_single_bit(s.block_size);
  if (s.version != kFormatVersion || !block_ok || s.size_bytes < kSizeMin || s.size_bytes > kSizeMax ||
      s.size_bytes % s.block_size != 0 || s.slots < kSlotsMin || s.slots > kSlotsMax || s.height < 1 || s.height > 5 ||
      s.checkpoint_lsn >= s.next_lsn || s.next_lsn > kLsnMax || s.next_segment_id > kSegmentIdMax ||
      s.height != tree_height(s.size_bytes / s.block_size) ||
      std::any_of(s.zeros.begin(), s.zeros.end(), [](uint8_t byte) { return byte != 0; })) {
    return SuperblockState::damaged;
  }
  return SuperblockState::valid;
}

int Superblocks::newest() const {
  int best = -1;
  for (int i = 0; i < 2; i++) {
    if (states[i] != SuperblockState::valid) continue;
    if (best < 0 || slots[i].generation > slots[best].generation) best = i;
  }
  return best;
}

int read_superblocks(disk::File& file, Superblocks* superblocks) {
  // A superblock whose sync failed in an earlier life may look written in the page cache.
  if (const int error = file.sync()) return error;
  for (int i = 0; i < 2; i++) {
    RawSuperblock& slot = superblocks->slots[i];
    const int error = file.read_medium(static_cast<uint64_t>(i) * kPageBytes, &slot, sizeof slot);
    // An unreadable sector is damage like any other: the other slot may be good.
    superblocks->states[i] = error == 0 ? check_superblock(slot) : SuperblockState::damaged;
  }
  return 0;
}

int write_superblock(disk::File& file, RawSuperblock superblock, int slot) {
  superblock.magic = kSuperblockMagic;
  superblock.version = kFormatVersion;
  superblock.check = hash128(&superblock, offsetof(RawSuperblock, check));
  if (const int error = file.write(static_cast<uint64_t>(slot) * kPageBytes, &superblock, sizeof superblock)) return error;
  return file.sync();
}

}  // namespace galleonfs::store
