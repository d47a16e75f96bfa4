#include "store.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "scrubber.h"

namespace galleonfs::store {
namespace {

constexpr uint64_t kSegmentBytesMin = 1 << 20;
constexpr uint64_t kSegmentBytesMax = 64 << 20;
constexpr uint64_t kCheckpointBytesMin = 16 << 20;
constexpr uint64_t kCheckpointBytesMax = 1 << 30;

// A sixteenth of the volume: small volumes stay small on disk, large ones have few segments.
uint32_t segment_slots(const CreateOptions& options) {
  uint64_t bytes = options.segment_size_bytes;
  if (bytes == 0) bytes = std::clamp(std::bit_floor(options.size_bytes / 16), kSegmentBytesMin, kSegmentBytesMax);
  return static_cast<uint32_t>(std::clamp<uint64_t>(bytes / options.block_size_bytes, kSlotsMin, kSlotsMax));
}

Failure io_failure(const disk::Disk& disk, const std::string& doing, int error) {
  const char* code = error == ENOSPC ? "STORE_NO_SPACE" : "STORE_IO";
  return failure(error, code, doing + " in " + disk.path() + ": " + std::strerror(error));
}

int create_files(disk::Disk& disk, const RawSuperblock& superblock) {
  std::unique_ptr<disk::File> map;
  if (const int error = disk.open("map", true, &map)) return error;
  if (const int error = map->reserve(superblock.map_pages * kPageBytes)) return error;
  if (const int error = map->sync()) return error;
  // A first segment file, so that a volume that could be created can be written to, and discarded, on a full disk.
  std::unique_ptr<disk::File> segment;
  if (const int error = disk.open(SegmentFiles::name(0), true, &segment)) return error;
  if (const int error = segment->reserve(payload_offset(superblock.slots) + uint64_t{superblock.slots} * superblock.block_size)) {
    return error;
  }
  if (const int error = segment->sync()) return error;
  std::unique_ptr<disk::File> file;
  if (const int error = disk.open("superblock", true, &file)) return error;
  if (const int error = file->reserve(2 * kPageBytes)) return error;
  for (const uint64_t generation : {1, 2}) {
    RawSuperblock slot = superblock;
    slot.generation = generation;
    if (const int error = write_superblock(*file, slot, static_cast<int>(generation % 2))) return error;
  }
  return disk.sync_directory();
}

}  // namespace

Failure failure(int error, const char* code, std::string detail) { return {error, code, std::move(detail)}; }

Failure Store::create(disk::Disk& disk, const CreateOptions& options, const Environment&) {
  const uint32_t block = options.block_size_bytes;
  if (block < kBlockMin || block > kBlockMax || !std::has_single_bit(block)) {
    return failure(EINVAL, "STORE_INVALID_BLOCK_SIZE",
                   "block size " + std::to_string(block) + " is not 4096, 8192, 16384, 32768 or 65536");
  }
  if (options.size_bytes < kSizeMin || options.size_bytes > kSizeMax || options.size_bytes % block != 0) {
    return failure(EINVAL, "STORE_INVALID_SIZE",
                   "size " + std::to_string(options.size_bytes) + " is not a multiple of the block size " +
                       std::to_string(block) + " from 1 MiB to 64 TiB");
  }
  std::vector<std::string> names;
  if (const int error = disk.list(&names)) return io_failure(disk, "listing files", error);
  if (!names.empty()) return failure(EEXIST, "STORE_EXISTS", disk.path() + " is not empty");
  if (const int error = disk.lock()) return failure(EBUSY, "STORE_LOCKED", disk.path() + " is in use: " + std::strerror(error));

  RawSuperblock superblock;
  superblock.block_size = block;
  superblock.volume_id = options.volume_id;
  superblock.size_bytes = options.size_bytes;
  superblock.slots = segment_slots(options);
  superblock.height = tree_height(options.size_bytes / block);
  superblock.checkpoint_lsn = 0;
  superblock.next_lsn = 1;
  superblock.next_segment_id = 1;
  superblock.next_file_number = 1;
  superblock.map_pages = 64;
  if (const int error = create_files(disk, superblock)) {
    std::vector<std::string> made;
    (void)disk.list(&made);
    for (const std::string& name : made) (void)disk.remove(name);
    return io_failure(disk, "creating a store", error);
  }
  return {};
}

Failure Store::open(std::unique_ptr<disk::Disk> disk, const OpenOptions& options, const Environment& environment,
                    std::unique_ptr<Store>* store) {
  if (const int error = disk->lock()) {
    return failure(EBUSY, "STORE_LOCKED", disk->path() + " is in use by another process: " + std::strerror(error));
  }
  Superblocks superblocks;
  {
    std::unique_ptr<disk::File> file;
    if (const int error = disk->open("superblock", false, &file)) {
      if (error == ENOENT) return failure(ENOENT, "STORE_NOT_FOUND", "no volume store in " + disk->path());
      return io_failure(*disk, "opening the superblock", error);
    }
    if (const int error = read_superblocks(*file, &superblocks)) return io_failure(*disk, "fdatasync of the superblock", error);
  }
  for (const SuperblockState state : superblocks.states) {
    if (state == SuperblockState::newer_format) {
      return failure(EPROTONOSUPPORT, "STORE_FORMAT_NEWER",
                     "the store in " + disk->path() + " was written by a newer version; upgrade to open it");
    }
  }
  const int newest = superblocks.newest();
  if (newest < 0) {
    return failure(EIO, "STORE_SUPERBLOCK_DAMAGED",
                   "both superblocks of the store in " + disk->path() + " are damaged; nothing was changed");
  }
  const bool both = superblocks.states[0] == superblocks.states[1];
  Failure first_failure;
  for (int attempt = 0; attempt < (both ? 2 : 1); attempt++) {
    const int slot = attempt == 0 ? newest : 1 - newest;
    std::unique_ptr<disk::File> superblock_file;
    std::unique_ptr<disk::File> map_file;
    if (const int error = disk->open("superblock", false, &superblock_file)) return io_failure(*disk, "opening the superblock", error);
    if (const int error = disk->open("map", false, &map_file)) return io_failure(*disk, "opening the map", error);
    auto opened = std::make_unique<VolumeStore>(std::move(disk), std::move(superblock_file), std::move(map_file),
                                                superblocks.slots[slot], options, environment);
    Failure failed = opened->recover(slot, !both || attempt > 0);
    if (!failed) {
      opened->note_superblocks(superblocks, attempt > 0);
      if (options.background && !options.read_only) opened->start_background();
      *store = std::move(opened);
      return {};
    }
    if (attempt == 0) first_failure = failed;
    disk = opened->give_disk_back();
    if (failed.code != "STORE_DAMAGED") break;
  }
  return first_failure;
}

VolumeStore::VolumeStore(std::unique_ptr<disk::Disk> disk, std::unique_ptr<disk::File> superblock_file,
                         std::unique_ptr<disk::File> map_file, const RawSuperblock& superblock,
                         const OpenOptions& options, const Environment& environment)
    : disk_(std::move(disk)),
      superblock_file_(std::move(superblock_file)),
      options_(options),
      environment_(environment),
      size_bytes_(superblock.size_bytes),
      block_size_(superblock.block_size),
      block_shift_(static_cast<uint32_t>(std::countr_zero(superblock.block_size))),
      blocks_(superblock.size_bytes >> block_shift_),
      payload_at_(payload_offset(superblock.slots)),
      slots_(superblock.slots),
      volume_id_(superblock.volume_id),
      share_(environment.budget == nullptr ? Budget::process() : *environment.budget),
      files_(*disk_, share_, superblock.slots, superblock.block_size),
      table_(epochs_),
      map_file_(std::move(map_file), *environment.cache, cache_counters_, damage_),
      tree_(map_file_, superblock.block_size),
      journal_(files_, {superblock.volume_id, superblock.block_size, superblock.slots}, environment.random,
               [this](const std::shared_ptr<OpenSegment>& segment) {
                 auto view = std::make_unique<SegmentView>();
                 view->id = segment->id;
                 view->file_number = segment->file_number;
                 view->slots = segment->slots;
                 view->salt = segment->salt;
                 view->cache_file = environment_.cache->new_file();
                 view->open = segment;
                 table_.put(std::move(view));
                 used_slots_ += segment->slots;
                 if (options_.background && files_.free_count() < 2) kick();
               }),
      root_(nullptr),
      superblock_(superblock),
      checkpoint_bytes_(options.checkpoint_bytes != 0
                            ? options.checkpoint_bytes
                            : std::clamp(superblock.size_bytes / 2, kCheckpointBytesMin, kCheckpointBytesMax)) {}

VolumeStore::~VolumeStore() {
  (void)close();
  epochs_.run_all();
  delete root_.load();
}

void VolumeStore::note_superblocks(const Superblocks& superblocks, bool used_older) {
  for (int slot = 0; slot < 2; slot++) {
    if (superblocks.states[slot] == SuperblockState::valid) continue;
    damage_.add({.kind = "superblock",
                 .file = "superblock",
                 .file_offset_bytes = static_cast<uint64_t>(slot) * kPageBytes,
                 .volume_offset_bytes = UINT64_MAX,
                 .segment = 0,
                 .slot = 0,
                 .detail = "fails its check; the other one was used"});
    used_older = true;
  }
  recovery_.used_older_superblock = used_older;
}

uint64_t VolumeStore::allocated_bytes() const noexcept {
  // The delta's entries are counted when a checkpoint merges them; until then, all as new data.
  return std::min(size_bytes_, (live_slots_.load(std::memory_order_relaxed) + delta_.unmerged_entries()) << block_shift_);
}

Failure VolumeStore::close() {
  if (closed_) return {};
  {
    const std::lock_guard lock(background_mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  room_.notify_all();
  if (background_.joinable()) background_.join();
  const std::lock_guard lock(checkpoint_mutex_);
  Failure failed;
  if (!read_only() && root_.load() != nullptr &&
      (journal_.issued_lsn() > checkpoint_lsn_ || delta_.active_entries() > 0 || compacted_since_checkpoint_)) {
    failed = checkpoint_locked();
  }
  closed_ = true;
  share_.report(0);
  return failed;
}

Stats VolumeStore::stats() const {
  Stats stats;
  stats.read = read_meter_.read();
  stats.write = write_meter_.read();
  stats.flush = flush_meter_.read();
  stats.discard = discard_meter_.read();
  stats.size_bytes = size_bytes_;
  stats.live_bytes = allocated_bytes();
  stats.segments = table_.size();
  stats.free_segments = files_.free_count();
  stats.segment_bytes = used_slots_.load(std::memory_order_relaxed) << block_shift_;
  stats.free_segment_bytes = stats.free_segments * files_.file_bytes();
  stats.map_bytes = map_file_.pages() * kPageBytes;
  stats.checksum_failures = damage_.count();
  stats.failures_by_kind = damage_.by_kind();
  stats.scrubbed_bytes = scrubbed_bytes_;
  stats.scrub_finds = scrub_finds_;
  stats.scrub_healed = scrub_healed_;
  stats.checkpoints = checkpoints_;
  stats.compacted_bytes = compacted_bytes_;
  stats.cache_hits = cache_counters_.hits;
  stats.cache_misses = cache_counters_.misses;
  stats.next_lsn = journal_.issued_lsn() + 1;
  stats.durable_lsn = journal_.durable_lsn();
  stats.checkpoint_lsn = checkpoint_lsn_;
  stats.delta_entries = delta_.unmerged_entries() + delta_.straggler_count();
  if (const int error = refusal_.load(std::memory_order_relaxed)) stats.refusal = std::strerror(error);
  const std::lock_guard lock(reason_mutex_);
  stats.read_only_reason = options_.read_only ? "opened read-only" : failed_reason_;
  return stats;
}

}  // namespace galleonfs::store
