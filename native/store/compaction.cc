// Compaction behind segment ids: the live slots of thin sealed segments are copied together into a new file, and each
// segment's view points there. Locations, the map and everything that holds locations stay as they are.
//
// Safe at any instant: the new file and its slot indexes are durable before a checkpoint names them; until that
// checkpoint and the one after, both superblocks' tables name the old files, which are kept.
#include <algorithm>
#include <cerrno>
#include <cstring>

#include "volume_store.h"

namespace galleonfs::store {

Failure VolumeStore::compact(double live_share_max, uint64_t* rewritten_bytes) {
  const std::lock_guard lock(checkpoint_mutex_);
  *rewritten_bytes = 0;
  if (closed_) return failure(ESHUTDOWN, "STORE_CLOSED", "the store is closed");
  if (read_only()) return failure(EROFS, "STORE_READ_ONLY", "the store is read-only");
  if (Failure failed = checkpoint_locked()) return failed;
  if (Failure failed = compact_locked(live_share_max, UINT64_MAX, [] { return true; }, rewritten_bytes)) return failed;
  // Three checkpoints: the new places are recorded, the old files leave both superblocks, and become free.
  for (int i = 0; i < 3; i++) {
    if (Failure failed = checkpoint_locked()) return failed;
    (void)epochs_.collect();
  }
  return {};
}

Failure VolumeStore::compact_locked(double live_share_max, uint64_t bytes_max, const std::function<bool()>& keep_going,
                                    uint64_t* rewritten_bytes) {
  std::vector<ThinFile> candidates = thin_files(live_share_max);
  std::vector<const SegmentView*> group;
  size_t group_files = 0;
  uint64_t slots = 0;
  *rewritten_bytes = 0;
  const auto run = [&]() -> int {
    uint64_t rewritten = 0;
    // One thin file alone saves nothing.
    const int error = group_files > 1 ? compact_segments(group, &rewritten) : 0;
    *rewritten_bytes += rewritten;
    group.clear();
    group_files = 0;
    slots = 0;
    return error;
  };
  int error = 0;
  for (const ThinFile& candidate : candidates) {
    if (slots + candidate.live > superblock_.slots) {
      error = run();
      if (error != 0 || *rewritten_bytes >= bytes_max || !keep_going()) break;
    }
    group.insert(group.end(), candidate.views.begin(), candidate.views.end());
    group_files++;
    slots += candidate.live;
  }
  if (error == 0 && *rewritten_bytes < bytes_max && keep_going()) error = run();
  if (error == ENOSPC) return failure(ENOSPC, "STORE_NO_SPACE", "no space to compact into");
  if (error != 0) return failure(error, "STORE_IO", std::string("compaction: ") + std::strerror(error));
  return {};
}

// Whole files, which may hold several segments: only an empty one gives space back. The thinnest first.
std::vector<VolumeStore::ThinFile> VolumeStore::thin_files(double live_share_max) {
  std::unordered_map<uint32_t, ThinFile> files;
  std::unordered_set<uint32_t> in_use;
  for (const SegmentView* view : table_.views()) {
    ThinFile& file = files[view->file_number];
    file.views.push_back(view);
    file.live += table_.states()[view->id].live;
    if (view->open != nullptr || view->id == superblock_.active_segment_id || view->id >= superblock_.next_segment_id) {
      in_use.insert(view->file_number);
    }
  }
  std::vector<ThinFile> thin;
  const double live_max = live_share_max * superblock_.slots;
  for (auto& [number, file] : files) {
    if (!in_use.contains(number) && static_cast<double>(file.live) <= live_max) thin.push_back(std::move(file));
  }
  std::sort(thin.begin(), thin.end(), [](const ThinFile& a, const ThinFile& b) {
    return a.live != b.live ? a.live < b.live : a.views.front()->id < b.views.front()->id;
  });
  return thin;
}

// Slots the map still points to, ascending, with their entries. A damaged entry is left out, with the alarm that reading
// it raises: its block reads as EIO before and after.
std::vector<uint32_t> VolumeStore::live_slots(const SegmentView& view, std::vector<Entry>* entries) {
  std::vector<uint32_t> slots;
  Page index;
  if (view.index && map_file_.read(view.index, &index, "slot index", UINT64_MAX) != 0) return slots;
  SummaryPage summary;
  for (uint32_t slot = 0; slot < superblock_.slots; slot++) {
    uint32_t physical = slot;
    if (view.index) {
      const int64_t found = find_in_slot_index(index.bytes(), slot);
      if (found < 0) continue;
      physical = static_cast<uint32_t>(found);
    }
    if (physical >= view.slots) break;
    std::optional<Entry> entry;
    if (read_entry(view, physical, UINT64_MAX >> block_shift_, &summary, &entry) != 0 || !entry || entry->flags != kEntryData) continue;
    Location location;
    if (entry->block >= blocks_ || lookup(entry->block, 1, &location) != 0) continue;
    if (!(location == Location(view.id, slot))) continue;
    slots.push_back(slot);
    entries->push_back(*entry);
  }
  return slots;
}

int VolumeStore::compact_segments(const std::vector<const SegmentView*>& victims, uint64_t* rewritten_bytes) {
  const Epochs::Guard guard(epochs_);
  struct Part {
    const SegmentView* view;
    std::vector<uint32_t> slots;
    std::vector<Entry> entries;
    uint32_t base = 0;
    bool damaged = false;
  };
  std::vector<Part> parts;
  uint32_t total = 0;
  for (const SegmentView* view : victims) {
    Part part{.view = view, .slots = {}, .entries = {}};
    const uint64_t found_before = damage_.count();
    part.slots = live_slots(*view, &part.entries);
    // A damaged segment stays where it is: what can be told of the damage must remain to be told.
    if (damage_.count() != found_before) continue;
    part.base = total;
    total += static_cast<uint32_t>(part.slots.size());
    if (total > superblock_.slots) {
      total -= static_cast<uint32_t>(part.slots.size());
      break;
    }
    parts.push_back(std::move(part));
  }
  if (parts.size() < 2) return 0;
  // The slot indexes must not eat what was promised to checkpoints.
  const uint64_t admitted = delta_.unmerged_leaves() + kInFlightLeaves;
  if (const int error = map_file_.make_room(pages_needed(admitted) + parts.size())) return error;
  uint32_t number = 0;
  std::shared_ptr<disk::File> file;
  bool last = false;
  if (const int error = files_.take(Purpose::write, &number, &file, &last)) return error;
  map_file_.begin();
  Salt salt;
  environment_.random(&salt, sizeof salt);
  RawSegmentHeader header;
  header.kind = kCompactedSegment;
  header.volume_id = superblock_.volume_id;
  header.file_number = number;
  header.block_size = block_size_;
  header.slots = superblock_.slots;
  header.salt = salt;
  header = seal_segment_header(header);
  alignas(16) std::byte page[kPageBytes] = {};
  std::memcpy(page, &header, sizeof header);
  int error = 0;
  for (const uint64_t copy : {0, 1}) {
    if (error == 0) error = file->write(copy * kPageBytes, page, sizeof page);
  }
  std::vector<RawEntry> summary(superblock_.slots);
  std::vector<std::byte> block(block_size_);
  for (Part& part : parts) {
    SummaryPage old_summary;
    for (size_t i = 0; i < part.slots.size() && error == 0; i++) {
      const auto to = static_cast<uint32_t>(part.base + i);
      const Entry& from = part.entries[i];
      uint32_t physical = 0;
      error = physical_slot(*part.view, part.slots[i], &physical, from.block);
      if (error == 0) error = read_payload(*part.view, physical, 1, block.data());
      // Verified before it is moved: damage must not get a fresh tag.
      if (error == 0 && !verify(*part.view, physical, part.slots[i], from.block, block.data(), &old_summary)) part.damaged = true;
      if (error != 0 || part.damaged) break;
      Entry entry = from;
      entry.tag = block_tag(block.data(), block_size_, salt, to, entry.block);
      summary[to] = encode_entry(entry, salt, to);
      error = file->write(payload_at_ + (uint64_t{to} << block_shift_), block.data(), block_size_);
      *rewritten_bytes += block_size_;
    }
  }
  // Page by page, for small folios: the file will be a log segment again (see Journal::open_segment).
  for (size_t at = 0; at < summary.size() && error == 0; at += kEntriesPerPage) {
    const size_t n = std::min<size_t>(kEntriesPerPage, summary.size() - at);
    error = file->write(kSummaryOffset + at * sizeof(RawEntry), &summary[at], n * sizeof(RawEntry));
  }
  if (error == 0) error = file->sync();
  std::vector<PagePointer> indexes(parts.size());
  for (size_t i = 0; i < parts.size() && error == 0; i++) {
    if (parts[i].damaged) continue;
    build_slot_index(parts[i].slots, page);
    error = map_file_.write_page(page, superblock_.generation + 1, &indexes[i]);
  }
  if (error == 0) error = map_file_.sync();
  if (error != 0) {
    map_file_.rolled_back();
    files_.free_at_checkpoint(number);
    return error;
  }
  map_file_.settle();
  admit_anew();
  for (size_t i = 0; i < parts.size(); i++) {
    const Part& part = parts[i];
    if (part.damaged) continue;
    auto moved = std::make_unique<SegmentView>(*part.view);
    moved->file_number = number;
    moved->base_slot = part.base;
    moved->slots = static_cast<uint32_t>(part.slots.size());
    moved->index = indexes[i];
    moved->salt = salt;
    moved->cache_file = environment_.cache->new_file();
    const uint32_t old_file = part.view->file_number;
    const PagePointer old_index = part.view->index;
    table_.states()[part.view->id].summary_hash =
        hash64(summary.data() + part.base, part.slots.size() * sizeof(RawEntry));
    table_.put(std::move(moved));
    if (old_index) map_file_.free_page(old_index.page);
    if (table_.users(old_file) == 0) files_.free_at_checkpoint(old_file);
  }
  if (table_.users(number) == 0) files_.free_at_checkpoint(number);
  compacted_bytes_ += *rewritten_bytes;
  compacted_since_checkpoint_ = true;
  return 0;
}

}  // namespace galleonfs::store
