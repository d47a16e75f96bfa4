// Where a logical block's data is: (segment id, slot). Ids and slots only grow along the journal, so of two locations of
// one block the greater is the newer: publication compares them and needs no LSN.
#pragma once
#include <cstdint>

namespace galleonfs::store {

class Location {
 public:
  constexpr Location() = default;
  constexpr Location(uint64_t segment, uint32_t slot, bool discarded = false)
      : raw_(segment << 25 | uint64_t{slot} << 1 | (discarded ? 1 : 0)) {}
  static constexpr Location from_raw(uint64_t raw) {
    Location location;
    location.raw_ = raw;
    return location;
  }
  constexpr uint64_t raw() const { return raw_; }
  constexpr uint64_t segment() const { return raw_ >> 25; }
  constexpr uint32_t slot() const { return static_cast<uint32_t>(raw_ >> 1) & 0xFFFFFF; }
  // Reads as zeros: never written, or discarded by the record in that slot.
  constexpr bool hole() const { return raw_ == 0 || (raw_ & 1) != 0; }
  constexpr bool newer_than(Location other) const { return raw_ > other.raw_; }
  constexpr bool operator==(const Location&) const = default;

 private:
  uint64_t raw_ = 0;
};
static_assert(sizeof(Location) == 8);

}  // namespace galleonfs::store
