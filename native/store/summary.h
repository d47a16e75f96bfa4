// Summary entries: encoding, checks, and the tag of a block.
#pragma once
#include <cstddef>
#include <functional>
#include <optional>

#include "format.h"

namespace galleonfs::store {

enum EntryFlags : uint8_t {
  kEntryData = 1,
  kEntryRecord = 2,  // the payload is a record block (discards), not data
  kEntryVoid = 3,    // nothing: the slot was given up
};

struct Entry {
  uint64_t block = 0;  // logical block
  uint64_t lsn = 0;
  uint64_t durable_lsn = 0;  // every LSN up to this was durable when the entry was written (rounded down)
  uint8_t flags = 0;
  Hash128 tag;
};

// The tag of a block: XXH3-128 seeded so that the same bytes at another slot, file incarnation or logical block differ.
Hash128 block_tag(const std::byte* block, size_t length, const Salt& salt, uint32_t slot, uint64_t logical_block);

RawEntry encode_entry(const Entry& entry, const Salt& salt, uint32_t slot);
// Nothing if the check fails: never written, torn, or of an earlier life of the file.
std::optional<Entry> decode_entry(const RawEntry& raw, const Salt& salt, uint32_t slot);

// Undoes damage to a single byte of an entry of that LSN: calls `confirm` with each candidate that passes its check, until
// one is confirmed (by its payload). Nothing if none is.
std::optional<Entry> repair_entry(const RawEntry& raw, const Salt& salt, uint32_t slot, uint64_t lsn,
                                  const std::function<bool(const Entry&)>& confirm);

// The same where the LSN is not known, as behind compaction.
std::optional<Entry> repair_entry(const RawEntry& raw, const Salt& salt, uint32_t slot,
                                  const std::function<bool(const Entry&)>& confirm);

// The distance from an LSN back to the durable LSN, in 8 bits, rounded up (so the durable LSN is rounded down).
uint8_t encode_distance(uint64_t distance);
uint64_t decode_distance(uint8_t code);

Hash128 hash128(const void* bytes, size_t length);
uint64_t hash64(const void* bytes, size_t length, uint64_t seed = 0);

}  // namespace galleonfs::store
