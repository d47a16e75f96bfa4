// The on-disk format. Little endian; every structure carries its own check.
//
// Files of a store directory:
//   superblock         two slots of 4 KiB, at 0 and 4096: generation g is written to slot g % 2
//   map                4 KiB pages: map nodes and leaves, slot indexes, and chains (see page_chain.h); page 0 unused
//   segment-NNNNNNNN   segments, recycled under the same name
//
// Segment file (S slots of B-byte blocks):
//   offset  length
//   0       4096     header, copy A
//   4096    4096     header, copy B
//   8192    S * 32   summary: entry i describes slot i
//   P       S * B    payload: slot i at P + i * B;  P = payload_offset(S, B), aligned to 64 KiB
#pragma once
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace galleonfs::store {

static_assert(std::endian::native == std::endian::little, "the format is written as the CPU has it");

constexpr uint32_t kFormatVersion = 1;
constexpr uint32_t kPageBytes = 4096;
constexpr uint64_t kSizeMin = 1ULL << 20;
constexpr uint64_t kSizeMax = 64ULL << 40;
constexpr uint32_t kBlockMin = 4096;
constexpr uint32_t kBlockMax = 65536;
constexpr uint32_t kSlotsMax = 16384;  // so that a slot index fits one page
constexpr uint32_t kSlotsMin = 16;

struct Hash128 {
  uint64_t low = 0;
  uint64_t high = 0;
  bool operator==(const Hash128&) const = default;
};
using Salt = Hash128;

// Summary entry, 32 bytes, never straddling a 512-byte sector.
//   0   16  tag: XXH3-128 of the block, seeded with the file's salt, the slot and the logical block
//   16  8   bits 0-35 logical block, 36-39 flags, 40-47 durable distance (see summary.h), 48-63 LSN bits 32-47
//   24  4   LSN bits 0-31
//   28  4   check: XXH3-64 of bytes 0-27, seeded with the salt and the slot
struct RawEntry {
  Hash128 tag;
  uint64_t word = 0;
  uint32_t lsn_low = 0;
  uint32_t check = 0;
};
static_assert(sizeof(RawEntry) == 32);
// Payload of a record block: u32 magic, u32 count, then count x {u64 first block, u64 end block}.
constexpr uint32_t kDiscardMagic = 0x43534944;  // "DISC"
constexpr uint32_t kEntriesPerPage = kPageBytes / sizeof(RawEntry);
constexpr uint64_t kLogicalBlockMax = (1ULL << 36) - 1;
constexpr uint64_t kLsnMax = (1ULL << 48) - 1;
constexpr uint64_t kSegmentIdMax = (1ULL << 38) - 1;

constexpr uint64_t kSummaryOffset = 8192;
constexpr uint64_t payload_offset(uint32_t slots) {
  return (kSummaryOffset + uint64_t{slots} * sizeof(RawEntry) + 65535) / 65536 * 65536;
}

// Segment header, the first 128 bytes of its page.
//   0 8 magic   8 4 version   12 4 kind   16 16 volume id   32 8 segment id   40 4 file number   44 4 block size
//   48 4 slots  56 8 base LSN (LSN of slot 0)   64 16 salt   80 8 opening LSN   120 8 check: XXH3-64 of bytes 0-119
//
// The opening LSN is the first LSN that could be issued by the opening of the store that made the segment. What an entry
// says of the durable LSN holds for the LSNs of its own opening only: slots that earlier ones left void stay void.
struct RawSegmentHeader {
  uint64_t magic = 0;
  uint32_t version = 0;
  uint32_t kind = 0;
  std::array<uint8_t, 16> volume_id{};
  uint64_t segment_id = 0;
  uint32_t file_number = 0;
  uint32_t block_size = 0;
  uint32_t slots = 0;
  uint32_t reserved0 = 0;
  uint64_t base_lsn = 0;
  Salt salt;
  uint64_t opening_lsn = 0;
  std::array<uint8_t, 32> reserved1{};
  uint64_t check = 0;
};
static_assert(sizeof(RawSegmentHeader) == 128);
constexpr uint64_t kSegmentMagic = 0x31474553534C4147;  // "GALSSEG1"
enum SegmentKind : uint32_t { kLogSegment = 1, kCompactedSegment = 2 };

// Where a map page is and what it must hash to; page 0: nothing there.
struct PagePointer {
  uint64_t page = 0;
  Hash128 hash;
  uint64_t birth = 0;  // generation of the checkpoint that wrote it
  explicit operator bool() const { return page != 0; }
};
static_assert(sizeof(PagePointer) == 32);

// Map geometry: a leaf holds 512 locations, a node 128 pointers.
constexpr uint32_t kLeafEntries = kPageBytes / 8;
constexpr uint32_t kLeafShift = 9;
constexpr uint32_t kNodeEntries = kPageBytes / sizeof(PagePointer);
constexpr uint32_t kNodeShift = 7;

// Superblock, 4096 bytes, of which all but the first 512-byte sector are zeros: a power cut leaves the old one or the new
// one, and one that fails its check was damaged, not torn.
//   0 8 magic   8 4 version   12 4 block size   16 8 generation   24 16 volume id   40 8 volume bytes
//   48 4 slots per segment   52 4 map height   56 8 checkpoint LSN   64 8 next LSN   72 8 next segment id
//   80 4 next file number   84 4 flags   88 32 map root   120 32 segment table chain   152 32 page bitmap chain
//   184 32 straggler chain   216 8 map pages   224 8 active segment id (0: none)   496 16 check: XXH3-128 of 0-495
struct RawSuperblock {
  uint64_t magic = 0;
  uint32_t version = 0;
  uint32_t block_size = 0;
  uint64_t generation = 0;
  std::array<uint8_t, 16> volume_id{};
  uint64_t size_bytes = 0;
  uint32_t slots = 0;
  uint32_t height = 0;
  uint64_t checkpoint_lsn = 0;
  uint64_t next_lsn = 0;
  uint64_t next_segment_id = 0;
  uint32_t next_file_number = 0;
  uint32_t flags = 0;
  PagePointer map_root;
  PagePointer segment_table;
  PagePointer page_bitmap;
  PagePointer stragglers;
  uint64_t map_pages = 0;
  uint64_t active_segment_id = 0;
  std::array<uint8_t, 496 - 232> reserved{};
  Hash128 check;
  std::array<uint8_t, kPageBytes - 512> zeros{};
};
static_assert(sizeof(RawSuperblock) == kPageBytes);
constexpr uint64_t kSuperblockMagic = 0x31304246534C4147;  // "GALSFB01"

// Segment table record, 80 bytes; a chain of them, then pending file numbers (see segment_table.h).
struct RawSegmentRecord {
  uint64_t id = 0;
  uint32_t file_number = 0;
  uint32_t base_slot = 0;  // first slot of its part of the file
  uint32_t live = 0;
  uint32_t slots = 0;  // physical slots of its part
  PagePointer index;   // slot index page of a compacted segment; page 0: slot i is physical slot i
  Salt salt;
  uint64_t summary_hash = 0;  // XXH3-64 of the sealed summary; 0: not sealed
};
static_assert(sizeof(RawSegmentRecord) == 80);

}  // namespace galleonfs::store
