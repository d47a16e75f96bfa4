// Segment id -> where the segment is, and how many of its slots are live.
// The view (where) is for readers; the counts belong to the thread that holds the checkpoint mutex and are as of the last
// checkpoint, changed only when one commits.
#pragma once
#include <memory>
#include <shared_mutex>
#include <span>
#include <unordered_map>
#include <vector>

#include "epochs.h"
#include "segment.h"

namespace galleonfs::store {

struct SegmentState {
  uint32_t live = 0;
  uint64_t summary_hash = 0;  // 0 until sealed at a checkpoint
};

class SegmentTable {
 public:
  explicit SegmentTable(Epochs& epochs) : epochs_(epochs) {}

  // The view stays valid while the caller's epoch guard lives; null if the id is unknown.
  const SegmentView* find(uint64_t id) const;
  // The one with the lowest id from `id` on; null if there is none.
  const SegmentView* at_or_after(uint64_t id) const;
  // Adds a segment, or puts it somewhere else (the old view is reclaimed when no reader is left).
  void put(std::unique_ptr<const SegmentView> view);
  void erase(uint64_t id);

  std::unordered_map<uint64_t, SegmentState>& states() { return states_; }
  // Segments in a file (several after compaction).
  uint32_t users(uint32_t file_number) const;
  std::vector<const SegmentView*> views() const;  // sorted by id; for the checkpoint thread
  size_t size() const;

 private:
  void retire(std::unique_ptr<const SegmentView> view);

  Epochs& epochs_;
  mutable std::shared_mutex mutex_;  // guards views_ and users_
  std::unordered_map<uint64_t, std::unique_ptr<const SegmentView>> views_;
  std::unordered_map<uint32_t, uint32_t> users_;
  std::unordered_map<uint64_t, SegmentState> states_;
};

// The chain a checkpoint persists: u32 records, u32 pending files, u64 0; the records; the file numbers.
struct PersistedTable {
  std::vector<RawSegmentRecord> records;
  std::vector<uint32_t> pending_files;
};
std::vector<std::byte> encode_table(const PersistedTable& table);
// False if the bytes cannot be a table.
bool decode_table(std::span<const std::byte> bytes, PersistedTable* table);

}  // namespace galleonfs::store
