// A disk in memory with faults and power cuts, for tests. Deterministic: all chance comes from a seed.
//
// The fault model:
//   power cut    of what was written since a file's last sync, each 512-byte sector is old or new, at random; a file
//                created since the last sync_directory() may be missing, one removed since may be back
//   kill         nothing is lost (the page cache outlives the process)
//   faults       any call may be made to fail by `fault`; a failed sync loses what it should have made durable while
//                readers go on seeing it, and the next one succeeds, as Linux does; a write may be cut short, lost or
//                misdirected
//   bit rot      flip(), and rot() below a page cache that still holds the good bytes
#pragma once
#include <array>
#include <functional>
#include <map>
#include <mutex>
#include <random>
#include <unordered_map>

#include "disk.h"

namespace galleonfs::disk {

enum class FakeOperation { open, read, write, sync, reserve, create, remove, list, sync_directory };

// What a fault makes of a write, other than a plain errno.
constexpr int kWriteLost = -1;         // reported as done, and not done
constexpr int kWriteMisdirected = -2;  // reported as done, and done 4 KiB further on
// Half of it is done, then the error.
constexpr int cut_short(int error) { return -256 - error; }

// The medium: outlives the FakeDisk that a store owns.
class FakeStorage {
 public:
  // Called before an operation; a non-zero errno makes it fail, and see above. `offset`/`length` as in the call.
  using Fault = std::function<int(FakeOperation, const std::string& name, uint64_t offset, uint64_t length)>;

  // Called before an operation, which waits for it; may itself use the disk, as another writer would at that moment.
  using Interlude = std::function<void(FakeOperation, const std::string& name, uint64_t offset, uint64_t length)>;

  std::unique_ptr<Disk> attach();
  void set_fault(Fault fault);
  void set_interlude(Interlude interlude);
  // The process dies: what it wrote stays, whoever attached before reaches nothing any more.
  void kill();
  // The power goes: unsynced sectors become old or new at random.
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

 private:
  friend class FakeFile;
  friend class FakeDisk;
  static constexpr size_t kSector = 512;
  using Sector = std::array<std::byte, kSector>;
  struct Data {
    std::unordered_map<uint64_t, Sector> sectors;             // as a reader sees it; missing: zeros
    std::unordered_map<uint64_t, Sector> durable_before;      // what unsynced sectors held at the last sync
    std::unordered_map<uint64_t, Sector> falsely_clean;       // what the medium holds where a sync failed
    std::map<uint64_t, uint8_t> rotten;                       // bytes of the medium that differ: offset, mask
    uint64_t size = 0;
    bool name_durable = false;
  };
  void interlude(FakeOperation operation, const std::string& name, uint64_t offset, uint64_t length) const {
    if (interlude_) interlude_(operation, name, offset, length);
  }
  int fault(uint64_t life, FakeOperation operation, const std::string& name, uint64_t offset, uint64_t length) const;
  void write(Data& data, uint64_t offset, const void* from, size_t length);
  void read(const Data& data, uint64_t offset, void* into, size_t length) const;
  int faulty_write(Data& data, int outcome, uint64_t offset, const void* from, size_t length);
  int resize(Data& data, uint64_t size);

  mutable std::mutex mutex_;  // guards all below
  std::map<std::string, std::shared_ptr<Data>> files_;
  std::map<std::string, std::shared_ptr<Data>> removed_;  // since the last sync_directory()
  Fault fault_;
  Interlude interlude_;
  uint64_t capacity_ = UINT64_MAX;
  uint64_t used_ = 0;
  uint64_t writes_ = 0;
  uint64_t life_ = 0;  // of the attached process; calls of an earlier one fail and do nothing
  bool locked_ = false;
};

}  // namespace galleonfs::disk
