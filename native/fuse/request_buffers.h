// The memory one serving thread reads requests into and builds replies in.
//
// Resident from the start: a read(2) or write(2) on /dev/fuse whose copy faults while SIGKILL is pending ends the
// request with EIO, which a program on the mount would see. Requests lie in a slot, which outlives the process
// (request_slots.h has its layout and what its steps are good for); replies in prefaulted anonymous memory, locked where
// that is permitted, and never in a mapping of a file.
//
//   reply:    | 4096-16 unused | 16 out_header        | 1 MiB body, page-aligned    |
#pragma once
#include <atomic>
#include <cstddef>
#include <cstring>

#include "protocol.h"
#include "request_slots.h"

namespace galleonfs::fuse {

class RequestBuffers {
 public:
  // `slots` outlives this.
  explicit RequestBuffers(RequestSlots& slots) noexcept;
  ~RequestBuffers();
  RequestBuffers(const RequestBuffers&) = delete;
  RequestBuffers& operator=(const RequestBuffers&) = delete;

  // False: the memory could not be had, or was given back; nothing else may be called.
  bool ok() const noexcept { return slot_ != nullptr && reply_ != nullptr; }
  void give_back() noexcept;

  std::byte* request() const noexcept { return slot_ + kSlotMessage; }
  static constexpr size_t request_capacity() noexcept { return kSlotMessageMax; }

  fuse_out_header* reply_header() const noexcept { return reinterpret_cast<fuse_out_header*>(reply_body() - sizeof(fuse_out_header)); }
  std::byte* reply_body() const noexcept { return reply_ + kPageBytes; }
  static constexpr size_t reply_capacity() noexcept { return kTransferMax; }

  // The steps of request_slots.h: 1 and 2 before a read, 5 before the reply of what must not be done twice, 7 after it.
  // Release stores, so that the compiler keeps their order.
  void begin_read(uint64_t key, uint32_t index) const noexcept {
    end_request();
    std::atomic_ref<uint64_t>(header().key).store(key, std::memory_order_release);
    std::atomic_ref<uint32_t>(header().index).store(index, std::memory_order_release);
    state().store(SlotState::reading, std::memory_order_release);
  }
  void keep_result(int error, size_t body_length) const noexcept {
    if (body_length > kSlotResultMax) return;
    header().error = static_cast<uint32_t>(error);
    header().body_length = static_cast<uint32_t>(body_length);
    std::memcpy(header().body, reply_body(), body_length);
    state().store(SlotState::applied, std::memory_order_release);
  }
  void end_request() const noexcept {
    std::atomic_ref<uint64_t>(*reinterpret_cast<uint64_t*>(slot_ + kSlotUnique)).store(0, std::memory_order_release);
  }

 private:
  static constexpr size_t kReplyBytes = kPageBytes + kTransferMax;

  SlotHeader& header() const noexcept { return *reinterpret_cast<SlotHeader*>(slot_); }
  std::atomic_ref<SlotState> state() const noexcept { return std::atomic_ref<SlotState>(header().state); }

  RequestSlots& slots_;
  std::byte* slot_;
  std::byte* reply_;
};

}  // namespace galleonfs::fuse
