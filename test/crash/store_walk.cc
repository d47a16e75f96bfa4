#include "store_walk.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <optional>
#include <set>

#include "store/format.h"
#include "store/location.h"
#include "store/segment.h"
#include "store/summary.h"

namespace galleonfs::crash {
namespace {

using namespace store;
using Bytes = std::vector<std::byte>;

struct Wrong {
  std::string what;
};

std::string file_name(uint32_t number) {
  std::string digits = std::to_string(number);
  return "segment-" + std::string(8 - std::min<size_t>(8, digits.size()), '0') + digits;
}

// Throws Wrong.
class Walk {
 public:
  explicit Walk(const disk::FakeMedium& medium) : medium_(medium), map_(medium.find("map")) {}

  void run(const std::map<uint64_t, Contents>& expected) {
    read_superblock();
    const Bytes table = read_chain(superblock_.segment_table);
    const Bytes bitmap = read_chain(superblock_.page_bitmap);
    const Bytes stragglers = read_chain(superblock_.stragglers);
    read_table(table);
    walk_map(superblock_.map_root, superblock_.height, 0);
    for (size_t at = 0; at + 16 <= stragglers.size(); at += 16) {
      uint64_t entry[2];
      std::memcpy(entry, stragglers.data() + at, sizeof entry);
      locate(entry[0], Location::from_raw(entry[1]));
    }
    check_counts();
    check_bitmap(bitmap);
    check_files();
    check_contents(expected);
  }

 private:
  static void require(bool holds, const std::string& what) {
    if (!holds) throw Wrong{what};
  }

  void read_superblock() {
    const uint32_t file = medium_.find("superblock");
    require(file != 0 && map_ != 0, "a file is missing");
    uint64_t newest = 0;
    for (const uint64_t slot : {0, 1}) {
      RawSuperblock candidate;
      medium_.read(file, slot * kPageBytes, &candidate, sizeof candidate);
      if (candidate.magic != kSuperblockMagic || !(candidate.check == hash128(&candidate, offsetof(RawSuperblock, check)))) continue;
      if (candidate.generation < newest) continue;
      newest = candidate.generation;
      superblock_ = candidate;
    }
    require(newest > 0, "no superblock is valid");
  }

  Bytes read_page(const PagePointer& pointer) {
    require(pointer.page > 0 && pointer.page < superblock_.map_pages, "a pointer leaves the map");
    require(reached_.insert(pointer.page).second, "page " + std::to_string(pointer.page) + " is reached twice");
    Bytes page(kPageBytes);
    medium_.read(map_, pointer.page * kPageBytes, page.data(), page.size());
    require(hash128(page.data(), page.size()) == pointer.hash, "page " + std::to_string(pointer.page) + " is not what its pointer says");
    return page;
  }

  Bytes read_chain(PagePointer at) {
    Bytes bytes;
    while (at) {
      const Bytes page = read_page(at);
      uint32_t length = 0;
      std::memcpy(&at, page.data(), sizeof at);
      std::memcpy(&length, page.data() + sizeof at, sizeof length);
      bytes.insert(bytes.end(), page.begin() + 40, page.begin() + 40 + length);
    }
    return bytes;
  }

  void read_table(const Bytes& bytes) {
    if (bytes.empty()) return;  // a new store
    uint32_t counts[4];
    std::memcpy(counts, bytes.data(), sizeof counts);
    require(bytes.size() == sizeof counts + counts[0] * sizeof(RawSegmentRecord) + counts[1] * 4, "the table has an odd length");
    for (uint32_t i = 0; i < counts[0]; i++) {
      RawSegmentRecord record;
      std::memcpy(&record, bytes.data() + sizeof counts + i * sizeof record, sizeof record);
      require(segments_.emplace(record.id, Segment{record, {}, 0}).second, "a segment is in the table twice");
      require(record.id < superblock_.next_segment_id, "a segment of the table is not issued yet");
      if (record.index) segments_.at(record.id).index = read_page(record.index);
    }
    for (uint32_t i = 0; i < counts[1]; i++) {
      uint32_t number = 0;
      std::memcpy(&number, bytes.data() + sizeof counts + counts[0] * sizeof(RawSegmentRecord) + i * 4, 4);
      require(pending_files_.insert(number).second, "a file is pending twice");
    }
  }

  void walk_map(const PagePointer& pointer, uint32_t level, uint64_t first_leaf) {
    if (!pointer) return;
    const Bytes page = read_page(pointer);
    if (level == 0) {
      for (uint32_t i = 0; i < kLeafEntries; i++) {
        uint64_t raw = 0;
        std::memcpy(&raw, page.data() + i * 8, 8);
        if (raw != 0) locate((first_leaf << kLeafShift) + i, Location::from_raw(raw));
      }
      return;
    }
    for (uint32_t i = 0; i < kNodeEntries; i++) {
      PagePointer child;
      std::memcpy(&child, page.data() + i * sizeof child, sizeof child);
      walk_map(child, level - 1, first_leaf + (uint64_t{i} << kNodeShift * (level - 1)));
    }
  }

  void locate(uint64_t block, Location location) {
    locations_[block] = location;
    if (location.hole()) return;
    const auto found = segments_.find(location.segment());
    require(found != segments_.end(), "block " + std::to_string(block) + " is in a segment that the table does not have");
    found->second.live++;
  }

  void check_counts() {
    for (const auto& [id, segment] : segments_) {
      require(segment.live == segment.record.live, "segment " + std::to_string(id) + " has " + std::to_string(segment.live) +
                                                       " live slots, the table says " + std::to_string(segment.record.live));
      require(segment.live > 0 || id == superblock_.active_segment_id, "segment " + std::to_string(id) + " is dead and still in the table");
    }
  }

  // Words, bitmap, then the pages pending.
  void check_bitmap(const Bytes& bytes) {
    if (bytes.empty()) return;
    std::vector<uint64_t> words(bytes.size() / 8);
    std::memcpy(words.data(), bytes.data(), words.size() * 8);
    std::set<uint64_t> pending(words.begin() + 1 + static_cast<ptrdiff_t>(words[0]), words.end());
    require(pending.size() == words.size() - 1 - words[0], "a page is pending twice");
    for (uint64_t page = 1; page < superblock_.map_pages; page++) {
      const bool used = (words[1 + page / 64] >> page % 64 & 1) != 0;
      const bool reached = reached_.contains(page);
      require(!reached || !pending.contains(page), "page " + std::to_string(page) + " is in use and pending");
      require(used == (reached || pending.contains(page)), "page " + std::to_string(page) + (used ? " is lost: used, not reached" : " is in use and free"));
    }
  }

  void check_files() {
    const uint64_t whole = payload_offset(superblock_.slots) + uint64_t{superblock_.slots} * superblock_.block_size;
    for (const std::string& name : medium_.names()) {
      if (name.starts_with("segment-")) require(medium_.size(medium_.find(name)) == whole, name + " is cut short");
    }
    std::map<uint32_t, std::set<uint32_t>> slots;
    for (const auto& [id, segment] : segments_) {
      const RawSegmentRecord& record = segment.record;
      require(!pending_files_.contains(record.file_number), "a pending file is in use");
      require(medium_.find(file_name(record.file_number)) != 0, file_name(record.file_number) + " is missing");
      require(record.file_number < superblock_.next_file_number, "a file number would be issued again");
      for (uint32_t i = 0; i < record.slots; i++) {
        require(slots[record.file_number].insert(record.base_slot + i).second, "two segments share a slot of a file");
      }
    }
  }

  void check_contents(const std::map<uint64_t, Contents>& expected) {
    for (const auto& [block, location] : locations_) {
      if (!location.hole()) require(expected.contains(block), "block " + std::to_string(block) + " holds data nobody wrote");
    }
    for (const auto& [block, contents] : expected) {
      const auto found = locations_.find(block);
      Contents held{};
      if (found != locations_.end() && !found->second.hole()) held = read_block(block, found->second);
      require(held == contents, "block " + std::to_string(block) + " on disk is not what was read");
    }
  }

  Contents read_block(uint64_t block, Location location) {
    const std::string where = "block " + std::to_string(block) + ": ";
    const Segment& segment = segments_.at(location.segment());
    const RawSegmentRecord& record = segment.record;
    int64_t physical = location.slot();
    if (!segment.index.empty()) physical = find_in_slot_index(segment.index.data(), location.slot());
    require(physical >= 0 && physical < record.slots, where + "its slot is not in its segment");
    const auto slot = static_cast<uint32_t>(record.base_slot + physical);
    const uint32_t file = medium_.find(file_name(record.file_number));
    RawEntry raw;
    medium_.read(file, kSummaryOffset + slot * sizeof raw, &raw, sizeof raw);
    const std::optional<Entry> entry = decode_entry(raw, record.salt, slot);
    require(entry.has_value() && entry->block == block && entry->flags == kEntryData, where + "its entry is not its own");
    Bytes bytes(superblock_.block_size);
    medium_.read(file, payload_offset(superblock_.slots) + uint64_t{slot} * superblock_.block_size, bytes.data(), bytes.size());
    require(entry->tag == block_tag(bytes.data(), bytes.size(), record.salt, slot, block), where + "its payload fails its tag");
    Contents contents{};
    require(contents_of(bytes.data(), &contents), where + "its payload is mixed");
    return contents;
  }

  const disk::FakeMedium& medium_;
  const uint32_t map_;
  RawSuperblock superblock_;
  std::set<uint64_t> reached_;
  struct Segment {
    RawSegmentRecord record;
    Bytes index;  // empty: slots are where they were written
    uint32_t live;
  };
  std::map<uint64_t, Segment> segments_;
  std::set<uint32_t> pending_files_;
  std::map<uint64_t, Location> locations_;
};

}  // namespace

std::string walk_store(const disk::FakeMedium& medium, const std::map<uint64_t, Contents>& expected) {
  try {
    Walk(medium).run(expected);
    return {};
  } catch (const Wrong& wrong) {
    return wrong.what;
  }
}

}  // namespace galleonfs::crash
