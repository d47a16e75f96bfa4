// The two superblock slots: how a checkpoint becomes the truth.
//
// Invariant: nothing reachable from either valid slot is overwritten. A slot is replaced only by the next generation,
// always the slot that does not hold the newest valid one.
#pragma once
#include "../disk/disk.h"
#include "format.h"
#include "store.h"

namespace galleonfs::store {

enum class SuperblockState { valid, damaged, newer_format };

// Checks magic, version, check sum and every field's range.
SuperblockState check_superblock(const RawSuperblock& superblock);

struct Superblocks {
  RawSuperblock slots[2];
  SuperblockState states[2] = {SuperblockState::damaged, SuperblockState::damaged};
  // Slot of the newest valid generation, or -1.
  int newest() const;
};

// From the medium. 0 or the errno of syncing first; damage, also an unreadable slot, is told in the states.
int read_superblocks(disk::File& file, Superblocks* superblocks);

// Seals (check) and writes a superblock into `slot`, and makes it durable.
int write_superblock(disk::File& file, RawSuperblock superblock, int slot);

}  // namespace galleonfs::store
