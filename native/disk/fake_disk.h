// A disk in memory with faults and power cuts, for tests. Deterministic: all chance comes from a seed.
//
// The fault model:
//   power cut    as fake_medium.h says: sectors, lengths and names that were not synced, each old or new
//   kill         nothing is lost (the page cache outlives the process)
//   faults       any call may be made to fail by `fault`; a failed sync loses what it should have made durable while
//                readers go on seeing it, and the next one succeeds, as Linux does; a write may be cut short, lost or
//                misdirected
//   lies         a write or sync may be acknowledged and not done, in the crash model too (see FakeMedium::Lie)
//   bit rot      flip(), and rot() below a page cache that still holds the good bytes
#pragma once
#include <functional>
#include <mutex>

#include "disk.h"
#include "fake_medium.h"

namespace galleonfs::disk {

// What a fault makes of a write, other than a plain errno.
constexpr int kWriteLost = -1;         // reported as done, and not done
constexpr int kWriteMisdirected = -2;  // reported as done, and done 4 KiB further on
// Half of it is done, then the error.
constexpr int cut_short(int error) { return -256 - error; }

// The medium: outlives the FakeDisk that a store owns.
class FakeStorage {
 public:
  FakeStorage() = default;
  explicit FakeStorage(const FakeMedium& medium) : medium_(medium) {}

  // Called before an operation; a non-zero errno makes it fail, and see above. `offset`/`length` as in the call.
  using Fault = std::function<int(FakeOperation, const std::string& name, uint64_t offset, uint64_t length)>;
  // Called before an operation, which waits for it; may itself use the disk, as another writer would at that moment.
  using Interlude = std::function<void(FakeOperation, const std::string& name, uint64_t offset, uint64_t length)>;

  std::unique_ptr<Disk> attach();
  void set_fault(Fault fault);
  void set_interlude(Interlude interlude);
  void set_lie(FakeMedium::Lie lie);
  // Every change from now on is added to the log; null: no more.
  void record_to(std::vector<DiskRecord>* log);
  // The process dies: what it wrote stays, whoever attached before reaches nothing any more.
  void kill();
  // And the power goes: what was not synced becomes old or new at random.
  void cut_power(uint64_t seed);
  // Flips bits of one byte, silently.
  void flip(const std::string& name, uint64_t offset, uint8_t mask = 0x01);
  // The same on the medium alone: read() still finds the good byte, as in a page cache; writing the sector heals it.
  void rot(const std::string& name, uint64_t offset, uint8_t mask = 0x01);
  // Bytes of all files together; reserve and growth beyond fail with ENOSPC.
  void set_capacity(uint64_t bytes);
  uint64_t used_bytes() const;
  uint64_t writes() const { return writes_; }
  std::vector<std::string> names() const;
  // The file's bytes, at most the first `length`.
  std::vector<std::byte> contents(const std::string& name, uint64_t length = UINT64_MAX) const;
  FakeMedium medium() const;

 private:
  friend class FakeFile;
  friend class FakeDisk;
  void interlude(FakeOperation operation, const std::string& name, uint64_t offset, uint64_t length) const {
    if (interlude_) interlude_(operation, name, offset, length);
  }
  int fault(uint64_t life, FakeOperation operation, const std::string& name, uint64_t offset, uint64_t length) const;
  int room_for(uint32_t inode, uint64_t size) const;
  void write(const std::string& name, uint32_t inode, uint64_t offset, const std::byte* from, size_t length);
  int faulty_write(int outcome, const std::string& name, uint32_t inode, uint64_t offset, const std::byte* from,
                   size_t length);
  void apply(DiskRecord record);

  mutable std::mutex mutex_;  // guards all below
  FakeMedium medium_;
  Fault fault_;
  Interlude interlude_;
  FakeMedium::Lie lie_;
  std::vector<DiskRecord>* log_ = nullptr;
  uint64_t capacity_ = UINT64_MAX;
  uint64_t writes_ = 0;
  uint64_t life_ = 0;  // of the attached process; calls of an earlier one fail and do nothing
  bool locked_ = false;
};

}  // namespace galleonfs::disk
