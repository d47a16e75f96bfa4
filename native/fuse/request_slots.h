// Where requests are read into: memory that outlives the process, so that its successor can tell which of them had been
// read but not answered, and what came of them. A sealed memfd, deposited in the descriptor store; one of them for each
// process (a generation), one slot in it for each service thread.
//
//   the file            offset   size  field
//                            0      8  magic "GALSLOTS"
//                            8      4  version 1
//                           12      4  number of slots
//                           16      8  kSlotBytes
//                        65536         slot 0, slot 1, ... each kSlotBytes long
//   a slot                   0      4  state: 0 free, 1 reading, 2 applied
//                            4      4  index of the descriptor that is read (of its name in the descriptor store)
//                            8      8  key of the mount; 0: not deposited
//                           16      4  result, when applied: errno, positive
//                           20      4  result: length of the reply's body
//                           24    128  result: the reply's body
//                         4016     80  the message: fuse_in_header (its unique id at 4024), fuse_write_in
//                         4096  1 MiB  payload, page-aligned
//                      1052672   4096  spare: read(2) demands a little more room than the longest request
// All integers in host order: no other machine reads them.
//
// What a thread does, and what a SIGKILL between any two steps leaves. (A killed process is over only when its threads have
// left the kernel, and the kernel finishes a copy it began: a read or write of /dev/fuse has happened or it has not, and
// stores made before it are there.)
//
//   1  unique = 0                  nothing is in the slot, whatever the other fields say
//   2  key, index; state = reading the same: unique is still 0
//   3  read(2) fills the message   unique != 0 and reading: received. The kernel waits for an answer and nobody has begun one
//                                  that could be seen; or the request was carried out and step 5 did not come
//   4  the request is carried out  as 3
//   5  result; state = applied     for requests that change something, and flushes: must not be carried out twice. The
//                                  result is whole, since the state is stored after it
//   6  write(2) of the reply       the kernel no longer knows the id, so a second reply fails with ENOENT and harms nobody;
//                                  received reads, which no step 5 marks, are found out by asking the kernel first
//   7  unique = 0                  as 1
//
// Between 4 and 5 lie a few instructions in which the request is applied and not marked. A kill there has it carried out
// again: the same bytes at the same place, before anybody was told that the first time succeeded; so the outcome is one that
// an execution after the restart alone could have had. Ids are never used twice in a connection's life. A read that failed
// half-way (its request has ended with an error then) can leave an id and part of a payload in 3: the kernel, asked first,
// does not know it.
//
// The memory is resident while its thread lives: a copy that faults while SIGKILL is pending ends the request with EIO. So it
// is prefaulted, locked where that is permitted, and given back (punched out of the file) when the thread retires.
#pragma once
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "protocol.h"

namespace galleonfs::fuse {

enum class SlotState : uint32_t { free = 0, reading = 1, applied = 2 };

inline constexpr size_t kSlotResultMax = 128;

struct SlotHeader {
  SlotState state;
  uint32_t index;
  uint64_t key;
  uint32_t error;
  uint32_t body_length;
  std::byte body[kSlotResultMax];
};
static_assert(sizeof(SlotHeader) == 152);

struct SlotsHeader {
  char magic[8];
  uint32_t version;
  uint32_t count;
  uint64_t slot_bytes;
};
static_assert(sizeof(SlotsHeader) == 24);

inline constexpr char kSlotsMagic[9] = "GALSLOTS";
inline constexpr uint32_t kSlotsVersion = 1;
inline constexpr size_t kSlotsCountMax = 1024;
inline constexpr size_t kFirstSlot = 65536;  // the largest page size there is, so that slots can be mapped one by one
inline constexpr size_t kSlotMessage = kPageBytes - kWritePayloadOffset;
inline constexpr size_t kSlotUnique = kSlotMessage + offsetof(fuse_in_header, unique);
inline constexpr size_t kSlotMessageMax = kRequestMax + kPageBytes;
inline constexpr size_t kSlotUsed = kSlotMessage + kSlotMessageMax;
inline constexpr size_t kSlotBytes = (kSlotUsed + kFirstSlot - 1) / kFirstSlot * kFirstSlot;
static_assert(kSlotUnique == 4024 && kSlotBytes == 17 * 65536);

// This process's slots. take() and give_back() may be called from any thread.
class RequestSlots {
 public:
  explicit RequestSlots(size_t count) noexcept;
  ~RequestSlots();
  RequestSlots(const RequestSlots&) = delete;
  RequestSlots& operator=(const RequestSlots&) = delete;

  // 0, or why the memory could not be had; then take() returns null.
  int error() const noexcept { return error_; }
  int fd() const noexcept { return fd_; }

  // A free slot's kSlotBytes, resident and all zero; null when there is none.
  std::byte* take() noexcept;
  void give_back(std::byte* slot) noexcept;

 private:
  const size_t count_;
  int fd_ = -1;
  int error_ = 0;
  std::mutex mutex_;
  std::vector<std::byte*> taken_;  // under mutex_; null: free
};

}  // namespace galleonfs::fuse
