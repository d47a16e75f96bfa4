// Verifies a store that nobody has open, reading only: does all of it add up? And, asked to, repairs what is safe.
//
// Invariants: check() writes nothing, whatever it finds. repair() does what the findings of the last check() say in
// their `repair`, and nothing else; no payload is ever written, so a block that is lost stays lost (EIO).
//
// Memory, whatever the size of the volume: a bit a slot of the segments that are in use and two bits a map page (33 MiB a
// TiB of 4 KiB blocks), 150 bytes a segment, and the journal's tail as recovery would hold it.
#pragma once
#include <atomic>
#include <memory>

#include "../disk/disk.h"
#include "store.h"

namespace galleonfs::store {

enum class Severity : uint8_t {
  note,    // explained and harmless: what a crash leaves, for one
  error,   // does not add up; no data is lost by it
  damage,  // data, or the way to it, is lost
};

struct Finding {
  Severity severity = Severity::note;
  Damage place;
  std::string repair;  // what repair() does about it; empty: nothing
};

struct CheckReport {
  std::array<uint8_t, 16> volume_id{};
  uint64_t size_bytes = 0, block_size_bytes = 0;
  uint64_t superblock_generation = 0;  // of the one that opening would use; 0: none can be used
  uint64_t checkpoint_lsn = 0;
  uint64_t live_blocks = 0, verified_blocks = 0, lost_blocks = 0;
  uint64_t segments = 0, compacted_segments = 0;
  uint64_t files_in_use = 0, files_replayed = 0, files_pending = 0, files_free = 0, file_bytes = 0;
  uint64_t map_pages = 0, map_pages_used = 0, map_pages_pending = 0, map_pages_free = 0;
  uint64_t straggler_entries = 0;
  uint64_t replay_entries = 0, torn_entries = 0;  // the journal after the checkpoint: what opening would replay, and pass over
  uint64_t read_bytes = 0;
  uint64_t duration_us = 0;
  uint64_t notes = 0, errors = 0, damages = 0;  // all findings
  std::vector<Finding> findings;                // the first 1000
};

// Shared with the thread that shows it.
struct CheckProgress {
  std::atomic<uint64_t> done_bytes{0};
  std::atomic<uint64_t> total_bytes{0};  // an estimate until the map has been walked
  std::atomic<bool> cancelled{false};
};

class StoreCheck {
 public:
  // Locks the store. STORE_NOT_FOUND, STORE_LOCKED, STORE_IO.
  static Failure begin(std::unique_ptr<disk::Disk> disk, std::unique_ptr<StoreCheck>* check);
  ~StoreCheck();
  StoreCheck(const StoreCheck&) = delete;
  StoreCheck& operator=(const StoreCheck&) = delete;

  // Failure: it could not be done (STORE_IO, STORE_FORMAT_NEWER, OPERATION_CANCELLED); what is wrong is in the report.
  Failure check(CheckReport* report);
  Failure repair();
  CheckProgress& progress() { return progress_; }

 private:
  explicit StoreCheck(std::unique_ptr<disk::Disk> disk);
  std::unique_ptr<disk::Disk> disk_;
  CheckProgress progress_;
  std::unique_ptr<struct RepairPlan> plan_;  // of the last check
};

}  // namespace galleonfs::store
