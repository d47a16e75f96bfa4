// How writers are held back, so that what a recovery has to do, the memory for updates not merged yet, and the bytes not on
// the disk yet stay bounded, for each volume and for all of them together (budget.h).
//
// A slow disk makes writers wait here; readers never do.
#include <algorithm>

#include "volume_store.h"

namespace galleonfs::store {
namespace {

// Publications that call for a checkpoint, and that stop writers until one is done.
constexpr size_t kDeltaEntries = 256 << 10;
constexpr size_t kDeltaEntriesMax = 1 << 20;
constexpr uint64_t kLogFactorMax = 3;

}  // namespace

uint64_t VolumeStore::log_entries() const noexcept {
  const uint64_t merged = checkpoint_lsn_.load(std::memory_order_relaxed);
  const uint64_t issued = journal_.issued_lsn();
  return issued > merged ? issued - merged : 0;
}

bool VolumeStore::checkpoint_due() const noexcept {
  return log_entries() << block_shift_ >= checkpoint_bytes_ || delta_.active_entries() >= kDeltaEntries ||
         share_.log_is_long(log_entries());
}

bool VolumeStore::log_is_full() const noexcept {
  return log_entries() << block_shift_ >= kLogFactorMax * checkpoint_bytes_ || delta_.active_entries() >= kDeltaEntriesMax ||
         share_.log_is_full(log_entries());
}

void VolumeStore::wait_for_room() noexcept {
  operations_seen_.fetch_add(1, std::memory_order_relaxed);
  share_.report(log_entries());
  limit_undurable();
  if (!checkpoint_due()) {
    // The first write after a rest wakes the background, which then watches over the idle time.
    if (!watching_.load(std::memory_order_relaxed) && !watching_.exchange(true)) kick();
    return;
  }
  if (!options_.background) {
    (void)checkpoint();
    return;
  }
  std::unique_lock lock(background_mutex_);
  if (!kicked_) {
    kicked_ = true;
    wake_.notify_one();
  }
  // As long as it takes, unless a checkpoint cannot be made at all: that must not hang writers, who find out themselves.
  while (log_is_full() && !stopping_ && !failed_ && !checkpoint_blocked_) {
    kicked_ = true;
    wake_.notify_one();
    room_.wait_for(lock, std::chrono::milliseconds(500));
  }
}

// Recovery reads and verifies what no sync has covered. The background syncs in time; where it is busy, writers do.
void VolumeStore::limit_undurable() noexcept {
  const uint64_t undurable = (journal_.issued_lsn() - journal_.durable_lsn()) << block_shift_;
  const uint64_t limit = share_.undurable_bytes();
  if (undurable < limit / 4) return;
  if (undurable >= limit) {
    if (const int error = journal_.flush()) fail_stop("fdatasync of the journal", error);
  } else if (options_.background && !flush_wanted_.load(std::memory_order_relaxed) && !flush_wanted_.exchange(true)) {
    kick();
  }
}

}  // namespace galleonfs::store
