// The way of a write: lock the blocks, complete partial ones, take slots, payload then entry into the segment, publish.
// The acknowledgement rests on both being in the segment's page cache; flush() makes them durable.
#include <algorithm>
#include <cerrno>
#include <cstring>

#include "volume_store.h"

namespace galleonfs::store {
namespace {

// Bigger requests are cut: bounds the memory for entries and how long blocks stay locked.
constexpr size_t kChunkBytes = 4 << 20;
constexpr int kRoomAttemptsMax = 64;
// Large writes go to the file in pieces: the page cache makes its folios as large as the write, and a later 4 KiB write
// into a 1 MiB folio costs ext4 twice as much as one into 256 KiB or less (see ARCHITECTURE.md for the figures). The tags
// of a piece are computed while it is in the processor's cache.
constexpr uint32_t kPieceBytes = 256 << 10;
// Dirty log bytes after which writeback is started, so that a flush finds little to do.
constexpr uint64_t kWritebackBytes = 8 << 20;

// Two blocks of scratch a thread: the partial blocks at both ends of a write.
struct Edges {
  alignas(4096) std::byte head[kBlockMax];
  alignas(4096) std::byte tail[kBlockMax];
};
Edges& edges() {
  thread_local Edges scratch;
  return scratch;
}

}  // namespace

int VolumeStore::fail_stop(const char* doing, int error) noexcept {
  journal_.fail();
  const std::lock_guard lock(reason_mutex_);
  if (!failed_.exchange(true)) failed_reason_ = std::string(doing) + " failed: " + std::strerror(error);
  return EIO;
}

// No segment could be opened, for want of space, descriptors or memory. Nothing was written, so the volume goes on: the
// next write tries again.
int VolumeStore::refused(int error) noexcept {
  refusal_.store(error, std::memory_order_relaxed);
  return error == ENOSPC || error == EDQUOT ? ENOSPC : EIO;
}

int VolumeStore::write(uint64_t offset, const std::byte* from, size_t length, bool durable) noexcept {
  OperationMeter::Timer timer(write_meter_, length);
  if (const int error = check_range(offset, length)) return timer.done(error);
  if (read_only()) return timer.done(EROFS);
  int attempts = kRoomAttemptsMax;
  while (length > 0) {
    const size_t chunk = std::min<size_t>(length, kChunkBytes - offset % kChunkBytes);
    wait_for_room();
    size_t done = 0;
    int error = write_chunk(offset, from, chunk, Purpose::write, &done);
    // Others may take what room is made, so try more than once; but not for ever.
    if (error == ENOSPC && attempts-- > 0) error = make_room(Purpose::write);
    if (error != 0) return timer.done(error);
    offset += done;
    from += done;
    length -= done;
  }
  if (refusal_.load(std::memory_order_relaxed) != 0) refusal_.store(0, std::memory_order_relaxed);
  if (!durable) return timer.done(0);
  const int error = journal_.flush();
  return timer.done(error == 0 ? 0 : fail_stop("fdatasync of the journal", error));
}

int VolumeStore::write_chunk(uint64_t offset, const std::byte* from, size_t length, Purpose purpose, size_t* done) noexcept {
  const uint64_t first = offset >> block_shift_;
  const uint64_t end = (offset + length + block_size_ - 1) >> block_shift_;
  *done = 0;
  if (const int error = admit(end - first, purpose)) return error;
  const auto head_skip = static_cast<uint32_t>(offset & (block_size_ - 1));
  const auto tail_bytes = static_cast<uint32_t>((offset + length) & (block_size_ - 1));
  const bool one_partial = end - first == 1 && length < block_size_;
  const RangeLock::Guard lock(ranges_, first, end);

  Piece pieces[3];
  size_t count = 0;
  uint64_t whole_first = first;
  uint64_t whole_end = end;
  if (head_skip != 0 || one_partial) {
    const Epochs::Guard guard(epochs_);
    std::byte* block = edges().head;
    if (const int error = read_block(first, block)) return error;
    const size_t n = std::min<size_t>(length, block_size_ - head_skip);
    std::memcpy(block + head_skip, from, n);
    from += n;
    pieces[count++] = {block, 1};
    whole_first++;
  }
  const bool partial_tail = tail_bytes != 0 && !one_partial && whole_first < end;
  if (partial_tail) whole_end--;
  if (whole_first < whole_end) pieces[count++] = {from, whole_end - whole_first};
  if (partial_tail) {
    const Epochs::Guard guard(epochs_);
    std::byte* block = edges().tail;
    if (const int error = read_block(end - 1, block)) return error;
    std::memcpy(block, from + ((whole_end - whole_first) << block_shift_), tail_bytes);
    pieces[count++] = {block, 1};
  }
  uint64_t appended = 0;
  const int error = append(first, pieces, count, purpose, &appended);
  if (appended > 0) *done = std::min<uint64_t>(length, (appended << block_shift_) - head_skip);
  return error;
}

// Blocks are locked. Each extent is published as soon as it is written, so a failure leaves old or new blocks.
int VolumeStore::append(uint64_t block, const Piece* pieces, size_t piece_count, Purpose purpose,
                        uint64_t* appended) noexcept {
  Journal::Operation operation;
  int error = 0;
  for (size_t i = 0; i < piece_count && error == 0; i++) {
    Piece piece = pieces[i];
    while (piece.blocks > 0) {
      Extent extent;
      error = journal_.allocate(operation, static_cast<uint32_t>(piece.blocks), purpose, &extent);
      if (error != 0) error = refused(error);
      if (error == 0) error = write_extent(extent, block, piece.from);
      if (error != 0) break;
      delta_.publish(block, extent.count, Location(extent.segment->id, extent.slot));
      block += extent.count;
      *appended += extent.count;
      piece.from += uint64_t{extent.count} << block_shift_;
      piece.blocks -= extent.count;
    }
  }
  journal_.finish(operation);
  return error;
}

int VolumeStore::write_extent(const Extent& extent, uint64_t block, const std::byte* from) noexcept {
  OpenSegment& segment = *extent.segment;
  const uint64_t at = payload_at_ + (uint64_t{extent.slot} << block_shift_);
  const uint64_t durable = journal_.durable_lsn();
  const uint32_t piece = kPieceBytes >> block_shift_;
  for (uint32_t first = 0; first < extent.count; first += piece) {
    const uint32_t end = std::min(first + piece, extent.count);
    const uint64_t offset = uint64_t{first} << block_shift_;
    if (const int error = segment.file->write(at + offset, from + offset, size_t{end - first} << block_shift_)) {
      return fail_stop("writing to the journal", error);
    }
    for (uint32_t i = first; i < end; i++) {
      const uint32_t slot = extent.slot + i;
      const std::byte* bytes = from + (uint64_t{i} << block_shift_);
      const Entry entry{.block = block + i,
                        .lsn = segment.base_lsn + slot,
                        .durable_lsn = durable,
                        .flags = kEntryData,
                        .tag = block_tag(bytes, block_size_, segment.salt, slot, block + i)};
      segment.entries[slot] = encode_entry(entry, segment.salt, slot);
    }
  }
  // Entries only after all payload: what replay finds an entry for is there.
  if (const int error = segment.file->write(kSummaryOffset + uint64_t{extent.slot} * sizeof(RawEntry),
                                            &segment.entries[extent.slot], extent.count * sizeof(RawEntry))) {
    return fail_stop("writing to the journal", error);
  }
  const uint64_t bytes = uint64_t{extent.count} << block_shift_;
  const uint64_t dirty = segment.unwritten_back.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  if (dirty >= kWritebackBytes && segment.unwritten_back.exchange(0, std::memory_order_relaxed) >= kWritebackBytes) {
    segment.file->start_writeback(payload_at_, at + bytes - payload_at_);  // not the mapped summary: a flush does that
  }
  return 0;
}

int VolumeStore::flush() noexcept {
  OperationMeter::Timer timer(flush_meter_, 0);
  if (closed_.load(std::memory_order_acquire)) return timer.done(ESHUTDOWN);
  if (failed_.load(std::memory_order_acquire)) return timer.done(EIO);
  const int error = journal_.flush();
  return timer.done(error == 0 ? 0 : fail_stop("fdatasync of the journal", error));
}

int VolumeStore::discard(uint64_t offset, uint64_t length) noexcept {
  OperationMeter::Timer timer(discard_meter_, length);
  if (const int error = check_range(offset, length)) return timer.done(error);
  if (read_only()) return timer.done(EROFS);
  if (length == 0) return timer.done(0);
  const uint64_t first = (offset + block_size_ - 1) >> block_shift_;
  const uint64_t end = (offset + length) >> block_shift_;
  // The partial blocks at the edges become zeros by writing; a hole there stays one.
  const auto zero = [this](uint64_t from, uint64_t to) -> int {
    if (from >= to) return 0;
    const uint64_t block = from >> block_shift_;
    {
      Location location;
      const Epochs::Guard guard(epochs_);
      if (const int error = lookup(block, 1, &location)) return error;
      if (location.hole()) return 0;
    }
    std::byte zeros[512] = {};
    size_t done = 0;
    for (uint64_t at = from; at < to; at += done) {
      if (const int error = write_chunk(at, zeros, std::min<size_t>(sizeof zeros, to - at), Purpose::discard, &done)) return error;
    }
    return 0;
  };
  const auto discard_once = [&]() -> int {
    if (first >= end) {
      // Within one block, or across the border of two.
      const uint64_t border = std::min(offset + length, first << block_shift_);
      if (const int error = zero(offset, border)) return error;
      return zero(border, offset + length);
    }
    if (const int error = zero(offset, first << block_shift_)) return error;
    if (const int error = zero(end << block_shift_, offset + length)) return error;
    return append_discard(first, end);
  };
  wait_for_room();
  int error = discard_once();
  for (int attempts = kRoomAttemptsMax; error == ENOSPC && attempts > 0 && make_room(Purpose::discard) == 0; attempts--) {
    error = discard_once();
  }
  return timer.done(error);
}

int VolumeStore::append_discard(uint64_t first, uint64_t end) noexcept {
  if (const int error = admit(2 * kLeafEntries, Purpose::discard)) return error;
  const RangeLock::Guard lock(ranges_, first, end);
  Journal::Operation operation;
  Extent extent;
  int error = journal_.allocate(operation, 1, Purpose::discard, &extent);
  if (error != 0) error = refused(error);
  if (error == 0) {
    OpenSegment& segment = *extent.segment;
    std::byte* record = edges().head;
    std::memset(record, 0, block_size_);
    const uint32_t head[2] = {kDiscardMagic, 1};
    const uint64_t range[2] = {first, end};
    std::memcpy(record, head, sizeof head);
    std::memcpy(record + sizeof head, range, sizeof range);
    const Entry entry{.block = 0,
                      .lsn = segment.base_lsn + extent.slot,
                      .durable_lsn = journal_.durable_lsn(),
                      .flags = kEntryRecord,
                      .tag = block_tag(record, block_size_, segment.salt, extent.slot, 0)};
    segment.entries[extent.slot] = encode_entry(entry, segment.salt, extent.slot);
    error = segment.file->write(payload_at_ + (uint64_t{extent.slot} << block_shift_), record, block_size_);
    if (error == 0) {
      error = segment.file->write(kSummaryOffset + uint64_t{extent.slot} * sizeof(RawEntry),
                                  &segment.entries[extent.slot], sizeof(RawEntry));
    }
    if (error != 0) error = fail_stop("writing to the journal", error);
    if (error == 0) delta_.discard(first, end, Location(segment.id, extent.slot, true));
  }
  journal_.finish(operation);
  return error;
}

}  // namespace galleonfs::store
