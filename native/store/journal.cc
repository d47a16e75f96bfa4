#include "journal.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace galleonfs::store {

Journal::Journal(SegmentFiles& files, const Identity& identity, std::function<void(void*, size_t)> random,
                 std::function<void(const std::shared_ptr<OpenSegment>&)> opened)
    : files_(files), identity_(identity), random_(std::move(random)), opened_(std::move(opened)) {}

void Journal::start(uint64_t next_lsn, uint64_t next_segment_id) {
  opening_lsn_ = next_lsn;
  next_lsn_ = next_lsn;
  next_segment_id_ = next_segment_id;
  issued_lsn_ = next_lsn - 1;
  durable_lsn_ = next_lsn - 1;
}

int Journal::open_segment(Purpose purpose) {
  auto segment = std::make_shared<OpenSegment>();
  if (const int error = files_.take(purpose, &segment->file_number, &segment->file, &segment->for_discards)) return error;
  segment->id = next_segment_id_;
  segment->slots = identity_.slots;
  segment->base_lsn = next_lsn_;
  random_(&segment->salt, sizeof segment->salt);
  segment->entries.resize(identity_.slots);
  const RawSegmentHeader header = seal_segment_header({.magic = 0,
                                                       .version = 0,
                                                       .kind = kLogSegment,
                                                       .volume_id = identity_.volume_id,
                                                       .segment_id = segment->id,
                                                       .file_number = segment->file_number,
                                                       .block_size = identity_.block_size,
                                                       .slots = segment->slots,
                                                       .reserved0 = 0,
                                                       .base_lsn = segment->base_lsn,
                                                       .salt = segment->salt,
                                                       .opening_lsn = opening_lsn_,
                                                       .reserved1 = {},
                                                       .check = 0});
  // The summary is cleared with it: stale entries would fail their checks anyway, but whole pages written are pages that
  // need not be read from the disk when the first entry is stored in them. Page by page, because the page cache makes its
  // folios as large as the write, and storing one entry into a mapped folio dirties, and a flush then writes, all of it.
  alignas(16) std::byte page[kPageBytes] = {};
  std::memcpy(page, &header, sizeof header);
  const uint64_t summary_end = kSummaryOffset + segment->slots * sizeof(RawEntry);
  for (uint64_t at = 0; at < summary_end; at += kPageBytes) {
    if (at == kSummaryOffset) std::memset(page, 0, sizeof page);
    if (const int error = segment->file->write(at, page, sizeof page)) {
      files_.give_back(segment->file_number);
      return error;
    }
  }
  segment->file->expect_small_writes(kSummaryOffset, segment->slots * sizeof(RawEntry));
  next_segment_id_++;
  unsynced_.push_back(segment);
  active_ = segment;
  opened_(segment);
  return 0;
}

int Journal::allocate(Operation& operation, uint32_t want, Purpose purpose, Extent* extent) {
  std::unique_lock lock(mutex_);
  if (!operation.in_flight_) thawed_.wait(lock, [this] { return !freezing_; });
  if (active_ == nullptr || active_->full()) {
    if (const int error = open_segment(purpose)) return error;
  }
  if (active_->for_discards && purpose == Purpose::write) {
    // Discards must find a slot: writes go on here only once there is another file for them.
    if (const int error = files_.prepare(1, false)) return error;
    active_->for_discards = false;
  }
  take_slots(operation, want, extent);
  return 0;
}

bool Journal::allocate_rest_for_discards(Operation& operation, Extent* extent) {
  std::unique_lock lock(mutex_);
  thawed_.wait(lock, [this] { return !freezing_; });
  if (active_ == nullptr || active_->full() || !active_->for_discards) return false;
  take_slots(operation, active_->slots, extent);
  return true;
}

uint32_t Journal::slots_left() {
  const std::lock_guard lock(mutex_);
  return active_ == nullptr ? 0 : active_->slots - active_->next_slot;
}

// Under the mutex; the active segment is not full.
void Journal::take_slots(Operation& operation, uint32_t want, Extent* extent) {
  OpenSegment& segment = *active_;
  extent->segment = &segment;
  extent->slot = segment.next_slot;
  extent->count = std::min(want, segment.slots - segment.next_slot);
  if (!operation.in_flight_) {
    operation.in_flight_ = true;
    operation.first_lsn_ = next_lsn_;
    operation.previous_ = last_;
    (last_ == nullptr ? first_ : last_->next_) = &operation;
    last_ = &operation;
  }
  segment.next_slot += extent->count;
  next_lsn_ += extent->count;
  issued_lsn_.store(next_lsn_ - 1, std::memory_order_release);
}

void Journal::finish(Operation& operation) {
  if (!operation.in_flight_) return;
  const std::lock_guard lock(mutex_);
  (operation.previous_ == nullptr ? first_ : operation.previous_->next_) = operation.next_;
  (operation.next_ == nullptr ? last_ : operation.next_->previous_) = operation.previous_;
  operation.in_flight_ = false;
  finished_.fetch_add(1, std::memory_order_release);
  if (first_ == nullptr && freezing_) drained_.notify_all();
}

uint32_t Journal::settled_slots(const OpenSegment& segment) {
  const std::lock_guard lock(mutex_);
  const uint64_t end = first_ == nullptr ? next_lsn_ : first_->first_lsn_;
  if (end <= segment.base_lsn) return 0;
  return static_cast<uint32_t>(std::min<uint64_t>(end - segment.base_lsn, segment.next_slot));
}

void Journal::freeze(const std::function<void()>& frozen) {
  std::unique_lock lock(mutex_);
  freezing_ = true;
  drained_.wait(lock, [this] { return first_ == nullptr; });
  frozen();
  freezing_ = false;
  thawed_.notify_all();
}

int Journal::flush() {
  const uint64_t target = finished_.load(std::memory_order_acquire);
  if (covered_.load(std::memory_order_acquire) >= target) return failed_ ? EIO : 0;
  std::unique_lock lock(commit_mutex_);
  for (;;) {
    if (failed_) return EIO;
    if (covered_.load(std::memory_order_relaxed) >= target) return 0;
    if (syncing_) {
      committed_.wait(lock);
      continue;
    }
    syncing_ = true;
    lock.unlock();
    uint64_t covered = 0;
    uint64_t durable = 0;
    const int error = sync_all(&covered, &durable);
    lock.lock();
    syncing_ = false;
    if (error != 0 || failed_) {
      // The kernel may have dropped the dirty pages it could not write: a later success would prove nothing.
      failed_ = true;
    } else {
      covered_.store(covered, std::memory_order_release);
      durable_lsn_.store(std::max(durable, durable_lsn()), std::memory_order_release);
    }
    committed_.notify_all();
  }
}

int Journal::sync_all(uint64_t* covered, uint64_t* durable) {
  std::vector<std::shared_ptr<OpenSegment>> files;
  {
    const std::lock_guard lock(mutex_);
    *covered = finished_.load(std::memory_order_relaxed);
    *durable = first_ == nullptr ? next_lsn_ - 1 : first_->first_lsn_ - 1;
    files = unsynced_;
  }
  for (const std::shared_ptr<OpenSegment>& segment : files) {
    if (const int error = segment->file->sync()) return error;
  }
  const std::lock_guard lock(mutex_);
  std::erase_if(unsynced_, [&](const auto& s) {
    return s->full() && s->last_lsn() <= *durable && std::find(files.begin(), files.end(), s) != files.end();
  });
  return 0;
}

}  // namespace galleonfs::store
