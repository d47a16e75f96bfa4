#include "summary.h"

#include <algorithm>

#include "xxh3.h"

namespace galleonfs::store {
namespace {

uint64_t slot_seed(const Salt& salt, uint32_t slot) { return salt.low ^ (salt.high + uint64_t{slot} * 0x9E3779B97F4A7C15); }

}  // namespace

Hash128 block_tag(const std::byte* block, size_t length, const Salt& salt, uint32_t slot, uint64_t logical_block) {
  const uint64_t seed = slot_seed(salt, slot) ^ (logical_block + 1) * 0xD6E8FEB86659FD93;
  const XXH128_hash_t hash = XXH3_128bits_withSeed(block, length, seed);
  return {hash.low64, hash.high64};
}

uint8_t encode_distance(uint64_t distance) {
  if (distance < 16) return static_cast<uint8_t>(distance);
  const int exponent = 63 - std::countl_zero(distance);
  const int shift = exponent - 2;
  const uint64_t mantissa = (distance + (1ULL << shift) - 1) >> shift;  // 4..8
  const int code = 16 + (exponent - 4) * 4 + static_cast<int>(mantissa - 4);  // 8 carries into the next exponent
  return static_cast<uint8_t>(std::min(code, 255));
}

uint64_t decode_distance(uint8_t code) {
  if (code < 16) return code;
  const int exponent = 4 + (code - 16) / 4;
  return static_cast<uint64_t>(4 + (code - 16) % 4) << (exponent - 2);
}

RawEntry encode_entry(const Entry& entry, const Salt& salt, uint32_t slot) {
  RawEntry raw;
  raw.tag = entry.tag;
  const uint8_t distance = encode_distance(entry.lsn - std::min(entry.durable_lsn, entry.lsn));
  raw.word = (entry.block & kLogicalBlockMax) | uint64_t{entry.flags} << 36 | uint64_t{distance} << 40 |
             (entry.lsn >> 32) << 48;
  raw.lsn_low = static_cast<uint32_t>(entry.lsn);
  raw.check = static_cast<uint32_t>(hash64(&raw, offsetof(RawEntry, check), slot_seed(salt, slot)));
  return raw;
}

std::optional<Entry> decode_entry(const RawEntry& raw, const Salt& salt, uint32_t slot) {
  if (raw.check != static_cast<uint32_t>(hash64(&raw, offsetof(RawEntry, check), slot_seed(salt, slot)))) return {};
  Entry entry;
  entry.block = raw.word & kLogicalBlockMax;
  entry.flags = raw.word >> 36 & 0xF;
  entry.lsn = (raw.word >> 48) << 32 | raw.lsn_low;
  const uint64_t distance = decode_distance(static_cast<uint8_t>(raw.word >> 40));
  entry.durable_lsn = entry.lsn - std::min(distance, entry.lsn);
  entry.tag = raw.tag;
  if (entry.flags != kEntryData && entry.flags != kEntryRecord && entry.flags != kEntryVoid) return {};
  return entry;
}

std::optional<Entry> repair_entry(const RawEntry& raw, const Salt& salt, uint32_t slot, uint64_t lsn,
                                  const std::function<bool(const Entry&)>& confirm) {
  return repair_entry(raw, salt, slot, [&](const Entry& entry) { return entry.lsn == lsn && confirm(entry); });
}

std::optional<Entry> repair_entry(const RawEntry& raw, const Salt& salt, uint32_t slot,
                                  const std::function<bool(const Entry&)>& confirm) {
  for (size_t at = 0; at < sizeof raw; at++) {
    for (unsigned mask = 1; mask < 256; mask++) {
      RawEntry candidate = raw;
      reinterpret_cast<uint8_t*>(&candidate)[at] ^= static_cast<uint8_t>(mask);
      const std::optional<Entry> entry = decode_entry(candidate, salt, slot);
      if (entry.has_value() && confirm(*entry)) return entry;
    }
  }
  return {};
}

Hash128 hash128(const void* bytes, size_t length) {
  const XXH128_hash_t hash = XXH3_128bits(bytes, length);
  return {hash.low64, hash.high64};
}

uint64_t hash64(const void* bytes, size_t length, uint64_t seed) { return XXH3_64bits_withSeed(bytes, length, seed); }

}  // namespace galleonfs::store
