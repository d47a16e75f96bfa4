// A volume as every front end sees it: FUSE, Node and later the network speak this and nothing else.
#pragma once
#include <cstddef>
#include <cstdint>

namespace galleonfs {

// All calls are safe from any thread at once. Those that can fail return 0 or a positive errno value:
// EIO (a block failed its checksum or the disk failed), ENOSPC (nothing was written), EROFS (read-only, also after a
// failed flush), EINVAL (range beyond the end). Offsets and lengths are in bytes and need no alignment.
class BlockDevice {
 public:
  virtual ~BlockDevice() = default;

  virtual uint64_t size_bytes() const noexcept = 0;
  virtual uint32_t block_size_bytes() const noexcept = 0;
  // Bytes of live data: what st_blocks should show.
  virtual uint64_t allocated_bytes() const noexcept = 0;
  virtual bool read_only() const noexcept = 0;

  // Fills all of `into`, with zeros where nothing was written or it was discarded. Every block is verified.
  virtual int read(uint64_t offset, std::byte* into, size_t length) noexcept = 0;

  // On return 0 the data survives the death of this process; with `durable`, or after a flush(), power loss too.
  // `from` stays the caller's. Page-aligned `from` lets large writes bypass the page cache.
  virtual int write(uint64_t offset, const std::byte* from, size_t length, bool durable) noexcept = 0;

  // On return 0 every write and discard that was acknowledged before this call is durable.
  virtual int flush() noexcept = 0;

  // The range reads as zeros afterwards; whole blocks give their space back. Durable after the next flush().
  virtual int discard(uint64_t offset, uint64_t length) noexcept = 0;

  // Finds the first offset >= `offset` that holds data (`want_data`) or a hole. The end of the volume counts as a
  // hole. ENXIO: `offset` is at or beyond the end, or no data follows.
  virtual int seek(uint64_t offset, bool want_data, uint64_t* found) noexcept = 0;
};

}  // namespace galleonfs
