// The journal: the order of writes. Hands out slots and LSNs, opens segments, knows what is in flight, and makes it durable.
//
// Invariants: LSN of a slot = base LSN of its segment + slot; LSNs are contiguous from segment to segment of one opening.
// An operation is in flight from its first allocate() until finish(); in-flight operations stand in LSN order.
// completed_lsn(): every LSN up to it is written to its file. durable_lsn(): and was fdatasynced since.
#pragma once
#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "segment.h"
#include "segment_files.h"

namespace galleonfs::store {

// Slots of one segment for consecutive blocks.
struct Extent {
  OpenSegment* segment = nullptr;  // stays while the operation is in flight
  uint32_t slot = 0;
  uint32_t count = 0;
};

class Journal {
 public:
  class Operation {
   public:
    Operation() = default;
    Operation(const Operation&) = delete;
    Operation& operator=(const Operation&) = delete;

   private:
    friend class Journal;
    uint64_t first_lsn_ = 0;
    bool in_flight_ = false;
    Operation* previous_ = nullptr;
    Operation* next_ = nullptr;
  };

  struct Identity {
    std::array<uint8_t, 16> volume_id{};
    uint32_t block_size = 0;
    uint32_t slots = 0;
  };
  // `opened` is told each new segment (under the journal's mutex) before any slot of it is handed out.
  Journal(SegmentFiles& files, const Identity& identity, std::function<void(void*, size_t)> random,
          std::function<void(const std::shared_ptr<OpenSegment>&)> opened);

  void start(uint64_t next_lsn, uint64_t next_segment_id);

  // Up to `want` consecutive slots. The first call of an operation waits while a freeze drains. ENOSPC, EIO.
  int allocate(Operation& operation, uint32_t want, Purpose purpose, Extent* extent);
  // All that is left of the active segment, if it took the last free file and there is no other.
  bool allocate_rest_for_discards(Operation& operation, Extent* extent);
  void finish(Operation& operation);

  // So many slots of a segment, from the first on, are written, or their writes have failed.
  uint32_t settled_slots(const OpenSegment& segment);

  // Waits until nothing is in flight, and runs `frozen` while nothing can begin.
  void freeze(const std::function<void()>& frozen);

  // Group commit: one caller syncs for all that wait. 0, or EIO for ever after a sync failed.
  int flush();

  // A write to the journal failed: its slot is void, so nothing from it on may be called durable. For ever.
  void fail() { failed_ = true; }

  // Slots of the active segment that writes may still take.
  uint32_t slots_left();
  uint64_t issued_lsn() const { return issued_lsn_.load(std::memory_order_acquire); }
  uint64_t durable_lsn() const { return durable_lsn_.load(std::memory_order_acquire); }
  uint64_t next_segment_id() const { return next_segment_id_; }  // within freeze()
  // Within freeze(). 0 if the next slot will be in a new segment.
  uint64_t active_segment_id() const { return active_ == nullptr || active_->full() ? 0 : active_->id; }

 private:
  int open_segment(Purpose purpose);
  void take_slots(Operation& operation, uint32_t want, Extent* extent);
  int sync_all(uint64_t* covered, uint64_t* durable);

  SegmentFiles& files_;
  const Identity identity_;
  const std::function<void(void*, size_t)> random_;
  const std::function<void(const std::shared_ptr<OpenSegment>&)> opened_;

  std::mutex mutex_;  // guards all down to the next mutex
  std::condition_variable drained_, thawed_;
  bool freezing_ = false;
  Operation* first_ = nullptr;
  Operation* last_ = nullptr;
  std::shared_ptr<OpenSegment> active_;
  std::vector<std::shared_ptr<OpenSegment>> unsynced_;  // active, and full ones not synced since they became full
  uint64_t opening_lsn_ = 1;  // the first LSN since start()
  uint64_t next_lsn_ = 1;
  uint64_t next_segment_id_ = 1;

  std::mutex commit_mutex_;  // guards covered_, syncing_, failed_; taken before mutex_
  std::condition_variable committed_;
  // Counted in operations, not LSNs: one in flight during a sync may have an LSN below others that finished before it.
  std::atomic<uint64_t> finished_{0};  // changed under mutex_
  std::atomic<uint64_t> covered_{0};   // so many of the finished ones are durable
  bool syncing_ = false;
  std::atomic<bool> failed_{false};

  std::atomic<uint64_t> issued_lsn_{0};
  std::atomic<uint64_t> durable_lsn_{0};
};

}  // namespace galleonfs::store
