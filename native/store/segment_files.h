// The physical segment files of a store: which exist, which are free, and handing out open descriptors of a bounded number.
//
// Lifecycle of a file: in use -> (its last segment is freed by checkpoint N) pending -> (N + 1 durable) awaiting readers
// -> free -> in use again. The last free file is kept for discards, which must work on a full disk.
#pragma once
#include <atomic>
#include <memory>
#include <mutex>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "../disk/disk.h"
#include "budget.h"
#include "epochs.h"
#include "format.h"

namespace galleonfs::store {

// What space is wanted for. The last free file is not for writing.
enum class Purpose { write, discard };

class SegmentFiles {
 public:
  SegmentFiles(disk::Disk& disk, const Budget::Share& share, uint32_t slots, uint32_t block_size)
      : disk_(disk), share_(share), file_bytes_(payload_offset(slots) + uint64_t{slots} * block_size) {}

  static std::string name(uint32_t number);
  // The number in a segment file's name, or false.
  static bool parse(const std::string& name, uint32_t* number);

  void load(std::vector<uint32_t> free, std::vector<uint32_t> pending, uint32_t next_number);

  // An open descriptor; shared, closed when neither cached nor in use.
  int open(uint32_t number, std::shared_ptr<disk::File>* file);

  // Takes a free file or makes one, reserved to its full length and with a durable name. `last`: it was the last free one,
  // taken because none could be made.
  int take(Purpose purpose, uint32_t* number, std::shared_ptr<disk::File>* file, bool* last);
  // A file that was taken and cannot be used yet.
  void give_back(uint32_t number);
  // Makes a free file ahead of need if fewer than `wanted` are free. `written`: filled with zeros, so that no fdatasync
  // of what is written there later has to journal the conversion of unwritten extents.
  int prepare(size_t wanted, bool written);
  // Fills up to `files` of the free files that come next with zeros, where they are not written yet.
  int write_ahead(size_t files);
  // Every slot of the file has been written.
  void filled(uint32_t number);
  // Deletes free files beyond `keep`.
  void trim(size_t keep);
  // Gives cached descriptors back, but for a few.
  void close_idle();

  void free_at_checkpoint(uint32_t number) { freed_now_.push_back(number); }
  const std::vector<uint32_t>& freed_now() const { return freed_now_; }
  void committed(Epochs& epochs);
  // As in MapFile.
  void begin() { freed_mark_ = freed_now_.size(); }
  void rolled_back() { freed_now_.resize(freed_mark_); }

  size_t free_count() const;
  std::vector<uint32_t> freed_pending() const { return pending_; }
  bool anything_pending() const { return !pending_.empty() || !freed_now_.empty(); }
  uint32_t next_number() const { return next_number_; }
  uint64_t file_bytes() const { return file_bytes_; }

 private:
  int create(uint32_t number, bool written, std::shared_ptr<disk::File>* file);

  void keep_open(uint32_t number, const std::shared_ptr<disk::File>& file);
  void close_some(size_t leave);

  disk::Disk& disk_;
  const Budget::Share& share_;
  const uint64_t file_bytes_;
  mutable std::mutex mutex_;  // guards free_, open_ and unwritten_
  std::vector<uint32_t> free_;
  struct Cached {
    std::shared_ptr<disk::File> file;
    bool recent = false;
  };
  std::unordered_map<uint32_t, Cached> open_;
  std::unordered_set<uint32_t> unwritten_;  // made by this process, with extents nobody has written to
  std::atomic<uint32_t> next_number_{1};
  std::vector<uint32_t> pending_, freed_now_;  // of the checkpoint thread
  size_t freed_mark_ = 0;
  static constexpr size_t kOpenMax = 64;
};

}  // namespace galleonfs::store
