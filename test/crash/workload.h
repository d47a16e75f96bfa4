// What a volume goes through between two crashes, recorded: writes of whole and partial blocks, discards, flushes,
// checkpoints, compaction, clean restarts, in an order that a seed decides.
//
// Concurrency without threads: while an operation waits for the disk (FakeStorage's interlude), others run from begin to
// end within it, up to three deep. So writes stand half done while others are acknowledged, flushed, or checkpointed
// around them, and the same seed always gives the same log.
#pragma once
#include <memory>
#include <random>
#include <vector>

#include "block_history.h"
#include "disk/fake_disk.h"
#include "store/store.h"

namespace galleonfs::crash {

constexpr uint64_t kVolumeBytes = 8 << 20;    // four leaves of the map
constexpr uint64_t kSegmentBytes = 64 << 10;  // sixteen slots

// The blocks that are written to, in runs: at the start, across the border of two leaves, in a third, at the end.
std::map<uint64_t, Contents> empty_volume();

store::CreateOptions create_options();
// No background thread, and checkpoints only when they are called for. `stragglers`: the map updates of leaves with few of
// them wait from one checkpoint to the next, as they do in large volumes.
store::OpenOptions open_options(bool stragglers);

class Workload {
 public:
  Workload(disk::FakeStorage& storage, std::vector<disk::DiskRecord>& log, const store::Environment& environment,
           const store::OpenOptions& options, BlockHistory& history, uint64_t seed, uint64_t first_value);
  ~Workload();
  Workload(const Workload&) = delete;
  Workload& operator=(const Workload&) = delete;

  // Goes on with an open store. Empty, or what went wrong without any crash.
  std::string run(std::unique_ptr<store::Store> store, int steps);
  // Nothing overlaps and the disk may be full.
  void expect_no_space() { expect_no_space_ = true; }

 private:
  struct Range {
    uint64_t first_sector;
    uint64_t end_sector;
    bool overlaps_blocks(const Range& other) const;
    bool whole_blocks() const;
  };
  struct Frame {
    enum class Doing { change, flush, checkpoint } doing;
    Range range{0, 0};
    bool syncing = false;  // what runs within must not wait for a flush
  };
  void step();
  void interlude(disk::FakeOperation operation, const std::string& name, uint64_t offset, uint64_t length);
  bool busy(const Range& range) const;
  uint64_t pick(uint64_t below) { return random_() % below; }
  Range pick_range(bool whole);
  void change(const Range& range, bool discard, bool durable);
  void flush();
  void checkpoint(bool compact);
  void background();
  void read();
  void restart();
  void complain(const std::string& what);
  BlockHistory::Writes writes_of(const Range& range, bool discard);

  disk::FakeStorage& storage_;
  std::vector<disk::DiskRecord>& log_;
  const store::Environment& environment_;
  const store::OpenOptions options_;
  BlockHistory& history_;
  std::mt19937_64 random_;
  uint64_t next_value_;
  bool expect_no_space_ = false;
  std::unique_ptr<store::Store> store_;
  std::vector<Frame> doing_;
  std::string complaint_;
};

}  // namespace galleonfs::crash
