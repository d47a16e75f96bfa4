// The volume store: a log-structured, copy-on-write, checksummed block store in one directory. See ARCHITECTURE.md.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "../block_device.h"
#include "../disk/disk.h"

namespace galleonfs::store {

class Budget;
class PageCache;
struct ScrubPosition;
struct ScrubStep;

// What went wrong when a store could not be created, opened or worked on. `code` is one of the STORE_* codes listed in
// src/errors; `error` the errno nearest to it; `detail` a sentence with the value at fault.
struct Failure {
  int error = 0;
  std::string code;
  std::string detail;
  explicit operator bool() const { return error != 0; }
};

struct CreateOptions {
  std::array<uint8_t, 16> volume_id{};
  uint64_t size_bytes = 0;           // 1 MiB to 64 TiB, a multiple of the block size
  uint32_t block_size_bytes = 4096;  // 4096, 8192, 16384, 32768 or 65536
  uint64_t segment_size_bytes = 0;   // payload bytes a segment; 0: chosen by size
};

// Shared by all stores of a process: one fixed budget of cached pages, randomness, and time.
struct Environment {
  PageCache* cache = nullptr;
  std::function<void(void* into, size_t length)> random;  // used for salts, from any thread; deterministic in tests
  Budget* budget = nullptr;                               // null: the process's own
};

struct OpenOptions {
  bool read_only = false;
  // Background thread for checkpoints, compaction and preallocation. Off in deterministic tests, which call step().
  bool background = true;
  uint64_t checkpoint_bytes = 0;  // log bytes between checkpoints; 0: chosen by volume size
  // A checkpoint that touches so many map leaves or fewer merges them all; beyond it, those with few updates wait.
  size_t leaves_merged_whole = 4096;
};

// One found piece of damage: never returned as data, kept for reports (bounded; the counters go on).
struct Damage {
  std::string kind;  // "payload", "summary", "map page", "superblock", "segment header", "table page"
  std::string file;
  uint64_t file_offset_bytes = 0;
  uint64_t volume_offset_bytes = 0;  // UINT64_MAX where unknown
  uint64_t segment = 0;
  uint64_t slot = 0;
  std::string detail;
};

struct RecoveryReport {
  uint64_t superblock_generation = 0;
  bool used_older_superblock = false;
  uint64_t replayed_entries = 0;
  uint64_t torn_entries = 0;
  uint64_t damaged_entries = 0;
  uint64_t duration_us = 0;
};

constexpr int kLatencyBuckets = 28;  // bucket i counts operations that took < 2^i microseconds (the last: all others)

struct OperationStats {
  uint64_t operations = 0, bytes = 0, errors = 0, latency_us_sum = 0;
  std::array<uint64_t, kLatencyBuckets> latency{};
};

struct Stats {
  OperationStats read, write, flush, discard;
  uint64_t size_bytes = 0, live_bytes = 0, segment_bytes = 0, free_segment_bytes = 0, map_bytes = 0;
  uint64_t segments = 0, free_segments = 0;
  uint64_t checksum_failures = 0, checkpoints = 0, compacted_bytes = 0;
  std::map<std::string, uint64_t> failures_by_kind;  // the kinds of Damage
  uint64_t scrubbed_bytes = 0, scrub_finds = 0, scrub_healed = 0;
  uint64_t cache_hits = 0, cache_misses = 0;  // of this store's map and summary pages
  uint64_t next_lsn = 0, durable_lsn = 0, checkpoint_lsn = 0;
  uint64_t delta_entries = 0;
  std::string read_only_reason;  // empty: writable
  std::string refusal;           // why the last write was refused, and the next may not be; empty: it was not
};

class Store : public BlockDevice {
 public:
  // Makes a new, empty, durable store. The directory must exist and be empty; on failure it is left empty again.
  static Failure create(disk::Disk& disk, const CreateOptions& options, const Environment& environment);

  // Recovers and opens. On failure nothing on disk was changed. The store owns the disk (and its lock) until close.
  static Failure open(std::unique_ptr<disk::Disk> disk, const OpenOptions& options, const Environment& environment,
                      std::unique_ptr<Store>* store);

  // Finishes I/O, checkpoints, stops the background thread. Further I/O fails with ESHUTDOWN. Idempotent.
  virtual Failure close() = 0;
  virtual Failure checkpoint() = 0;
  // Rewrites sealed segments whose live share is at most `live_share_max` (0..1); returns bytes rewritten.
  virtual Failure compact(double live_share_max, uint64_t* rewritten_bytes) = 0;
  // One round of what the background thread does, where there is none. `idle`: nothing happened since the last one.
  virtual void step(bool idle) = 0;
  // Goes on with a scrub from `position` until about `bytes_max` bytes are verified or it is done (see scrub.h).
  virtual Failure scrub(ScrubPosition* position, uint64_t bytes_max, ScrubStep* step) = 0;
  virtual Stats stats() const = 0;
  virtual RecoveryReport recovery() const = 0;
  virtual std::vector<Damage> damage() const = 0;
  virtual std::array<uint8_t, 16> volume_id() const = 0;
};

// A page cache with a fixed budget. `bytes` is rounded to whole pages, at least 1 MiB.
std::unique_ptr<PageCache, void (*)(PageCache*)> make_page_cache(size_t bytes);

}  // namespace galleonfs::store
