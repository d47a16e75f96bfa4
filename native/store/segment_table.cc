#include "segment_table.h"

#include <algorithm>
#include <cstring>
#include <mutex>

namespace galleonfs::store {

const SegmentView* SegmentTable::find(uint64_t id) const {
  const std::shared_lock lock(mutex_);
  const auto found = views_.find(id);
  return found == views_.end() ? nullptr : found->second.get();
}

const SegmentView* SegmentTable::at_or_after(uint64_t id) const {
  const std::shared_lock lock(mutex_);
  const SegmentView* best = nullptr;
  for (const auto& [candidate, view] : views_) {
    if (candidate >= id && (best == nullptr || candidate < best->id)) best = view.get();
  }
  return best;
}

void SegmentTable::put(std::unique_ptr<const SegmentView> view) {
  std::unique_ptr<const SegmentView> old;
  {
    const std::lock_guard lock(mutex_);
    users_[view->file_number]++;
    std::unique_ptr<const SegmentView>& held = views_[view->id];
    old = std::move(held);
    held = std::move(view);
    if (old != nullptr && --users_[old->file_number] == 0) users_.erase(old->file_number);
  }
  retire(std::move(old));
}

void SegmentTable::erase(uint64_t id) {
  std::unique_ptr<const SegmentView> old;
  {
    const std::lock_guard lock(mutex_);
    const auto found = views_.find(id);
    if (found == views_.end()) return;
    old = std::move(found->second);
    views_.erase(found);
    if (--users_[old->file_number] == 0) users_.erase(old->file_number);
  }
  states_.erase(id);
  retire(std::move(old));
}

void SegmentTable::retire(std::unique_ptr<const SegmentView> view) {
  if (view == nullptr) return;
  epochs_.retire([shared = std::shared_ptr<const SegmentView>(std::move(view))]() mutable { shared.reset(); });
}

uint32_t SegmentTable::users(uint32_t file_number) const {
  const std::shared_lock lock(mutex_);
  const auto found = users_.find(file_number);
  return found == users_.end() ? 0 : found->second;
}

std::vector<const SegmentView*> SegmentTable::views() const {
  std::vector<const SegmentView*> all;
  {
    const std::shared_lock lock(mutex_);
    all.reserve(views_.size());
    for (const auto& [id, view] : views_) all.push_back(view.get());
  }
  std::sort(all.begin(), all.end(), [](const SegmentView* a, const SegmentView* b) { return a->id < b->id; });
  return all;
}

size_t SegmentTable::size() const {
  const std::shared_lock lock(mutex_);
  return views_.size();
}

std::vector<std::byte> encode_table(const PersistedTable& table) {
  const uint32_t counts[4] = {static_cast<uint32_t>(table.records.size()),
                              static_cast<uint32_t>(table.pending_files.size()), 0, 0};
  const size_t records = table.records.size() * sizeof(RawSegmentRecord);
  const size_t files = table.pending_files.size() * sizeof(uint32_t);
  std::vector<std::byte> bytes(sizeof counts + records + files);
  std::memcpy(bytes.data(), counts, sizeof counts);
  if (records != 0) std::memcpy(bytes.data() + sizeof counts, table.records.data(), records);
  if (files != 0) std::memcpy(bytes.data() + sizeof counts + records, table.pending_files.data(), files);
  return bytes;
}

bool decode_table(std::span<const std::byte> bytes, PersistedTable* table) {
  uint32_t counts[4] = {};
  if (bytes.empty()) return true;  // a new store
  if (bytes.size() < sizeof counts) return false;
  std::memcpy(counts, bytes.data(), sizeof counts);
  const uint64_t records = uint64_t{counts[0]} * sizeof(RawSegmentRecord);
  const uint64_t files = uint64_t{counts[1]} * sizeof(uint32_t);
  if (bytes.size() != sizeof counts + records + files) return false;
  table->records.resize(counts[0]);
  table->pending_files.resize(counts[1]);
  if (records != 0) std::memcpy(table->records.data(), bytes.data() + sizeof counts, records);
  if (files != 0) std::memcpy(table->pending_files.data(), bytes.data() + sizeof counts + records, files);
  for (const RawSegmentRecord& record : table->records) {
    if (record.slots > kSlotsMax || record.base_slot > kSlotsMax || record.live > kSlotsMax) return false;
  }
  return true;
}

}  // namespace galleonfs::store
