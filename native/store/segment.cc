#include "segment.h"

#include <cstring>

#include "summary.h"

namespace galleonfs::store {

void build_slot_index(const std::vector<uint32_t>& slots, std::byte* page) {
  std::memset(page, 0, kPageBytes);
  uint32_t before = 0;
  size_t next = 0;
  for (uint32_t group = 0; group < kSlotsMax / kIndexGroupSlots; group++) {
    std::byte* at = page + group * kIndexGroupBytes;
    std::memcpy(at, &before, sizeof before);
    for (; next < slots.size() && slots[next] / kIndexGroupSlots == group; next++, before++) {
      const uint32_t bit = slots[next] % kIndexGroupSlots;
      at[4 + bit / 8] |= std::byte(1U << bit % 8);
    }
  }
}

int64_t find_in_slot_index(const std::byte* page, uint32_t slot) {
  if (slot >= kSlotsMax) return -1;
  const std::byte* at = page + slot / kIndexGroupSlots * kIndexGroupBytes;
  const uint32_t bit = slot % kIndexGroupSlots;
  if ((at[4 + bit / 8] & std::byte(1U << bit % 8)) == std::byte{0}) return -1;
  uint32_t rank = 0;
  std::memcpy(&rank, at, sizeof rank);
  for (uint32_t word = 0; word <= bit / 64; word++) {
    uint64_t bits = 0;
    std::memcpy(&bits, at + 4 + word * 8, sizeof bits);
    if (word == bit / 64) bits &= (1ULL << bit % 64) - 1;
    rank += static_cast<uint32_t>(std::popcount(bits));
  }
  return rank;
}

RawSegmentHeader seal_segment_header(RawSegmentHeader header) {
  header.magic = kSegmentMagic;
  header.version = kFormatVersion;
  header.check = hash64(&header, offsetof(RawSegmentHeader, check));
  return header;
}

bool valid_segment_header(const RawSegmentHeader& header) {
  return header.magic == kSegmentMagic && header.version == kFormatVersion &&
         header.check == hash64(&header, offsetof(RawSegmentHeader, check)) && header.slots >= kSlotsMin &&
         header.slots <= kSlotsMax && (header.kind == kLogSegment || header.kind == kCompactedSegment);
}

}  // namespace galleonfs::store
