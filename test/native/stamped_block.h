// Blocks all of whose 8-byte words are one value, so that a mixture shows.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace galleonfs::check {

inline constexpr size_t kStampedBytes = 4096;

inline void stamp(std::byte* block, uint64_t value) {
  for (size_t i = 0; i < kStampedBytes; i += sizeof value) std::memcpy(block + i, &value, sizeof value);
}

// The value all of a block holds, or UINT64_MAX if it is mixed.
inline uint64_t stamp_of(const std::byte* block) {
  uint64_t value = 0;
  std::memcpy(&value, block, sizeof value);
  for (size_t i = sizeof value; i < kStampedBytes; i += sizeof value) {
    if (std::memcmp(block + i, block, sizeof value) != 0) return UINT64_MAX;
  }
  return value;
}

}  // namespace galleonfs::check
