#include "scrub.h"

#include <cerrno>

#include "scrubber.h"
#include "segment_files.h"

namespace galleonfs::store {

Failure VolumeStore::scrub(ScrubPosition* position, uint64_t bytes_max, ScrubStep* step) {
  const std::lock_guard lock(scrub_mutex_);
  if (closed_) return failure(ESHUTDOWN, "STORE_CLOSED", "the store is closed");
  Failure failed = Scrubber(*this, *position, *step, bytes_max).run();
  scrubbed_bytes_ += step->done_bytes;
  for (const ScrubFind& find : step->finds) {
    scrub_finds_++;
    if (!find.healed.empty()) scrub_healed_++;
  }
  if (position->phase == ScrubPhase::done) scrubbed_segment_.reset();
  return failed;
}

Failure Scrubber::run() {
  while (budget_left() && position_.phase != ScrubPhase::done && !store_.closed_) {
    switch (position_.phase) {
      case ScrubPhase::tables:
        tables();
        break;
      case ScrubPhase::segments:
        segments();
        break;
      case ScrubPhase::map:
        map();
        break;
      case ScrubPhase::done:
        break;
    }
  }
  step_.total_bytes = (store_.live_slots_.load() << store_.block_shift_) + store_.used_slots_.load() * sizeof(RawEntry) +
                      (store_.live_slots_.load() / kLeafEntries + 4) * kPageBytes;
  return {};
}

// What could not be healed is damage like any that a read finds.
void Scrubber::found(Damage place, std::string healed) {
  if (healed.empty()) store_.damage_.add(place);
  step_.finds.push_back({std::move(place), std::move(healed)});
}

Damage Scrubber::place_of(const SegmentView& view, uint32_t slot, uint32_t physical, bool payload, uint64_t block) const {
  const uint64_t in_file = uint64_t{view.base_slot} + physical;
  return {.kind = payload ? "payload" : "summary",
          .file = SegmentFiles::name(view.file_number),
          .file_offset_bytes = payload ? store_.payload_at_ + (in_file << store_.block_shift_)
                                       : kSummaryOffset + in_file * sizeof(RawEntry),
          .volume_offset_bytes = block == UINT64_MAX ? UINT64_MAX : block << store_.block_shift_,
          .segment = view.id,
          .slot = slot,
          .detail = {}};
}

}  // namespace galleonfs::store
