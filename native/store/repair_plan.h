// What a check would have repaired. Nothing here touches payload.
#pragma once
#include <string>
#include <vector>

#include "segment_table.h"

namespace galleonfs::store {

struct RepairPlan {
  // Summary entries with one wrong byte, as they must have been: their payload's tag confirmed it.
  struct Entry {
    uint32_t file_number;
    uint32_t slot;  // in the file
    RawEntry entry;
  };
  // One copy of a segment's header from the other.
  struct Header {
    uint32_t file_number;
    uint32_t copy;
    RawSegmentHeader header;
  };
  std::vector<Entry> entries;
  std::vector<Header> headers;
  std::vector<std::string> strangers;  // files to remove
  // The superblock all of this goes by, and where it is.
  RawSuperblock base;
  int base_slot = -1;
  bool rewrite_other_superblock = false;
  // Tables to write anew, as a checkpoint that changes nothing else: liveness counts, summary hashes, page bitmap.
  bool rewrite_tables = false;
  PersistedTable table;
  std::vector<uint64_t> used_pages;     // bitmap words
  std::vector<uint64_t> pending_pages;  // used, reached from the older superblock alone
  std::vector<uint64_t> table_pages, bitmap_pages;
};

// 0 or errno.
int carry_out(disk::Disk& disk, const RepairPlan& plan);

}  // namespace galleonfs::store
