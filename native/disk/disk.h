// What a volume store needs of the place it is kept in: one flat directory of files. Backends: FileDisk (a directory of
// the host) and FakeDisk (memory with faults and power cuts, for tests).
// Calls that can fail return 0 or a positive errno value.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace galleonfs::disk {

// Safe from any thread. Writing is not durable before sync() returns 0; until then a power cut may leave any subset of
// the written 512-byte sectors, each old or new.
class File {
 public:
  virtual ~File() = default;
  // Fills all of `into`; bytes beyond the end of the file read as zeros.
  virtual int read(uint64_t offset, void* into, size_t length) noexcept = 0;
  // As read(), past the page cache: what is on the medium. After a failed sync() the cache may hold, as if it were clean,
  // what never reached the disk; a later sync() then succeeds and proves nothing.
  virtual int read_medium(uint64_t offset, void* into, size_t length) noexcept = 0;
  // Writes all of `from`, or fails.
  virtual int write(uint64_t offset, const void* from, size_t length) noexcept = 0;
  // As write(), past the page cache where the backend can; offset, address and length must be 4 KiB aligned.
  virtual int write_direct(uint64_t offset, const void* from, size_t length) noexcept = 0;
  // Hint: the range, inside what is reserved, will be written in many small pieces; the backend may map it.
  virtual void expect_small_writes(uint64_t offset, uint64_t length) noexcept = 0;
  // No more of them; none may be under way.
  virtual void end_small_writes() noexcept = 0;
  // fdatasync: data, and the metadata needed to read it back.
  virtual int sync() noexcept = 0;
  // Hint: begin writing the range back; does not wait for it, promises nothing.
  virtual void start_writeback(uint64_t offset, uint64_t length) noexcept = 0;
  // Makes the file at least `length` bytes long with its space allocated: later writes inside cannot meet ENOSPC.
  virtual int reserve(uint64_t length) noexcept = 0;
  virtual int size(uint64_t* bytes) noexcept = 0;
};

class Disk {
 public:
  virtual ~Disk() = default;
  // ENOENT if missing and not `create`. Created files are 0600; their name is durable after sync_directory().
  virtual int open(const std::string& name, bool create, std::unique_ptr<File>* file) noexcept = 0;
  virtual int remove(const std::string& name) noexcept = 0;
  virtual int list(std::vector<std::string>* names) noexcept = 0;
  virtual int sync_directory() noexcept = 0;
  // Takes the directory for this process until the Disk is destroyed; EBUSY if another has it.
  virtual int lock() noexcept = 0;
  virtual std::string path() const = 0;  // for messages
};

}  // namespace galleonfs::disk
