#include "workload.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace galleonfs::crash {
namespace {

struct Run {
  uint64_t first;
  uint64_t end;
};
constexpr Run kRuns[] = {{0, 8}, {509, 515}, {1024, 1028}, {2046, 2048}};
constexpr size_t kDepthMax = 3;
constexpr uint64_t kNow = UINT64_MAX - 1;

}  // namespace

std::map<uint64_t, Contents> empty_volume() {
  std::map<uint64_t, Contents> blocks;
  for (const Run& run : kRuns) {
    for (uint64_t block = run.first; block < run.end; block++) blocks[block] = {};
  }
  return blocks;
}

store::CreateOptions create_options() {
  store::CreateOptions options;
  options.volume_id = {7};
  options.size_bytes = kVolumeBytes;
  options.block_size_bytes = kBlock;
  options.segment_size_bytes = kSegmentBytes;
  return options;
}

store::OpenOptions open_options(bool stragglers) {
  store::OpenOptions options;
  options.background = false;
  options.checkpoint_bytes = 1ULL << 40;
  if (stragglers) options.leaves_merged_whole = 1;
  return options;
}

bool Workload::Range::overlaps_blocks(const Range& other) const {
  return first_sector / kSectorsPerBlock < (other.end_sector + kSectorsPerBlock - 1) / kSectorsPerBlock &&
         other.first_sector / kSectorsPerBlock < (end_sector + kSectorsPerBlock - 1) / kSectorsPerBlock;
}

bool Workload::Range::whole_blocks() const {
  return first_sector % kSectorsPerBlock == 0 && end_sector % kSectorsPerBlock == 0;
}

Workload::Workload(disk::FakeStorage& storage, std::vector<disk::DiskRecord>& log, const store::Environment& environment,
                   const store::OpenOptions& options, BlockHistory& history, uint64_t seed, uint64_t first_value)
    : storage_(storage), log_(log), environment_(environment), options_(options), history_(history), random_(seed), next_value_(first_value) {
  storage_.set_interlude([this](auto... operation) { interlude(operation...); });
}

Workload::~Workload() { storage_.set_interlude({}); }

std::string Workload::run(std::unique_ptr<store::Store> store, int steps) {
  store_ = std::move(store);
  for (int i = 0; i < steps && complaint_.empty(); i++) step();
  storage_.kill();  // nothing that the store does in going belongs to the log
  store_.reset();
  return complaint_;
}

void Workload::complain(const std::string& what) {
  if (complaint_.empty()) complaint_ = what;
}

void Workload::step() {
  switch (pick(32)) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
      return flush();
    case 5:
    case 6:
      return checkpoint(false);
    case 7:
      return checkpoint(true);
    case 8:
    case 9:
      return change(pick_range(pick(2) == 0), true, false);
    case 10:
      // Many blocks, whole leaves among them.
      return change({pick(600) * kSectorsPerBlock, (600 + pick(1448)) * kSectorsPerBlock}, true, false);
    case 11:
      return restart();
    case 12:
      return read();
    case 13:
      return background();
    case 14:
    case 15:
    case 16:
      return change(pick_range(false), false, pick(4) == 0);
    default:
      return change(pick_range(true), false, pick(8) == 0);
  }
}

// While the innermost operation waits for the disk at a moment when it holds no lock that others need.
void Workload::interlude(disk::FakeOperation operation, const std::string& name, uint64_t offset, uint64_t length) {
  if (expect_no_space_ || doing_.empty() || doing_.size() >= kDepthMax || !complaint_.empty()) return;
  Frame& frame = doing_.back();
  const bool segment = name.starts_with("segment-");
  const bool sync = operation == disk::FakeOperation::sync;
  const bool payload_or_entries = segment && !sync && (offset >= 65536 || (offset >= 8192 && length <= 512));
  if (frame.doing == Frame::Doing::change && !payload_or_entries) return;
  if (frame.doing == Frame::Doing::flush && !sync) return;
  if (pick(6) != 0) return;
  const bool syncing_before = std::exchange(frame.syncing, frame.syncing || (segment && sync));
  const bool may_flush = std::none_of(doing_.begin(), doing_.end(), [](const Frame& f) { return f.syncing; });
  const bool may_be_partial = std::all_of(doing_.begin(), doing_.end(), [](const Frame& f) { return f.range.whole_blocks(); });
  if (may_flush && pick(4) == 0) {
    flush();
  } else {
    // A partial write keeps its blocks in scratch memory of the thread, which is one thread here.
    const Range range = pick_range(!may_be_partial || pick(3) != 0);
    const bool discard = may_be_partial && pick(6) == 0;
    if (!busy(range)) change(range, discard, !discard && may_flush && pick(4) == 0);
  }
  doing_.back().syncing = syncing_before;
}

bool Workload::busy(const Range& range) const {
  return std::any_of(doing_.begin(), doing_.end(), [&](const Frame& frame) {
    return frame.doing == Frame::Doing::change && frame.range.overlaps_blocks(range);
  });
}

Workload::Range Workload::pick_range(bool whole) {
  const Run& run = kRuns[pick(std::size(kRuns))];
  const uint64_t first = run.first + pick(run.end - run.first);
  const uint64_t end = std::min(run.end, first + 1 + pick(4));
  Range range{first * kSectorsPerBlock, end * kSectorsPerBlock};
  if (whole) return range;
  range.first_sector += pick(kSectorsPerBlock);
  range.end_sector -= pick(kSectorsPerBlock);
  if (range.first_sector >= range.end_sector) range.end_sector = range.first_sector + 1;
  return range;
}

BlockHistory::Writes Workload::writes_of(const Range& range, bool discard) {
  BlockHistory::Writes writes;
  const uint64_t value = discard ? 0 : next_value_++;
  for (const uint64_t block : history_.followed()) {
    const uint64_t start = block * kSectorsPerBlock;
    if (start + kSectorsPerBlock <= range.first_sector || start >= range.end_sector) continue;
    Contents contents = history_.latest(block);
    const bool partial = start < range.first_sector || start + kSectorsPerBlock > range.end_sector;
    for (uint64_t i = 0; i < kSectorsPerBlock; i++) {
      if (start + i < range.first_sector || start + i >= range.end_sector) continue;
      contents[i] = value;
      // The edges of a discard become zeros sector by sector.
      if (discard && partial) writes.emplace_back(block, contents);
    }
    if (!discard || !partial) writes.emplace_back(block, contents);
  }
  return writes;
}

void Workload::change(const Range& range, bool discard, bool durable) {
  const BlockHistory::Writes writes = writes_of(range, discard);
  for (const auto& [block, contents] : writes) {
    // What a failed write left there is not known, so a partial one cannot be told either.
    if (!range.whole_blocks() && !history_.settled(block)) return;
  }
  std::vector<std::byte> bytes;
  for (const auto& [block, contents] : writes) {
    bytes.resize(bytes.size() + kBlock);
    fill(bytes.data() + bytes.size() - kBlock, contents);
  }
  const BlockHistory::Token token = history_.begin(writes, log_.size());
  // A discard keeps its record in the scratch memory of partial writes: it counts as one.
  doing_.push_back({Frame::Doing::change, discard ? Range{range.first_sector, range.end_sector | 1} : range});
  const uint64_t offset = range.first_sector * 512;
  const uint64_t length = (range.end_sector - range.first_sector) * 512;
  const int error = discard ? store_->discard(offset, length)
                            : store_->write(offset, bytes.data() + offset % kBlock, length, durable);
  doing_.pop_back();
  if (error == 0) {
    history_.acknowledge(token, log_.size(), durable);
  } else if (error != ENOSPC || !expect_no_space_) {
    complain(std::string(discard ? "a discard" : "a write") + " failed: " + std::strerror(error));
  }
}

void Workload::flush() {
  const BlockHistory::Mark mark = history_.mark();
  doing_.push_back({Frame::Doing::flush});
  const int error = store_->flush();
  doing_.pop_back();
  if (error != 0) return complain(std::string("a flush failed: ") + std::strerror(error));
  history_.durable(mark, log_.size());
}

void Workload::checkpoint(bool compact) {
  const BlockHistory::Mark mark = history_.mark();
  doing_.push_back({Frame::Doing::checkpoint});
  uint64_t rewritten = 0;
  const store::Failure failed = compact ? store_->compact(0.9, &rewritten) : store_->checkpoint();
  doing_.pop_back();
  if (!failed) return history_.durable(mark, log_.size());
  if (failed.error != ENOSPC || !expect_no_space_) complain("a checkpoint failed: " + failed.detail);
}

// Makes files ahead, checkpoints, compacts without waiting for more, and, after a long rest, gives files back.
void Workload::background() {
  doing_.push_back({Frame::Doing::checkpoint});
  const uint64_t rounds = pick(4) == 0 ? 35 : 1 + pick(5);
  const bool idle = pick(3) != 0;
  for (uint64_t i = 0; i < rounds; i++) store_->step(idle);
  doing_.pop_back();
}

void Workload::read() {
  const std::vector<uint64_t>& blocks = history_.followed();
  const uint64_t block = blocks[pick(blocks.size())];
  std::vector<std::byte> bytes(kBlock);
  Contents contents{};
  if (const int error = store_->read(block * kBlock, bytes.data(), kBlock)) {
    return complain("reading block " + std::to_string(block) + " failed: " + std::strerror(error));
  }
  if (!contents_of(bytes.data(), &contents)) return complain("block " + std::to_string(block) + " is mixed");
  complain(history_.complaint(Failure::kill, kNow, block, contents));
}

void Workload::restart() {
  const BlockHistory::Mark mark = history_.mark();
  store::Failure failed = store_->close();
  store_.reset();
  if (!failed) {
    history_.durable(mark, log_.size());
  } else if (failed.error != ENOSPC || !expect_no_space_) {
    return complain("a close failed: " + failed.detail);
  }
  failed = store::Store::open(storage_.attach(), options_, environment_, &store_);
  if (failed) complain("a clean restart failed: " + failed.detail);
}

}  // namespace galleonfs::crash
