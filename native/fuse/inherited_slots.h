// The request slots of a process that is gone, as its successor finds them: what had been read and not answered.
// request_slots.h has the layout. Nothing found here is trusted, and the file is read and never mapped: whatever is in it,
// or happens to it, nothing crashes.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "request_slots.h"

namespace galleonfs::fuse {

struct InheritedRequest {
  size_t slot;
  uint64_t key;
  uint32_t index;  // of the descriptor it was read from
  uint64_t unique;
  bool applied;  // carried out, with this result; else received
  int error;
  size_t body_length;
  std::array<std::byte, kSlotResultMax> body;
};

class InheritedSlots {
 public:
  // Takes `fd`. Not ok(): not such a file, or of a version that is not known here.
  explicit InheritedSlots(int fd) noexcept;
  ~InheritedSlots();
  InheritedSlots(InheritedSlots&& other) noexcept;
  InheritedSlots& operator=(InheritedSlots&&) = delete;

  bool ok() const noexcept { return count_ > 0; }
  size_t count() const noexcept { return count_; }

  // What slot `slot` holds; nothing when it is free or makes no sense.
  std::optional<InheritedRequest> at(size_t slot) const noexcept;

  // Copies the message, at most kSlotMessageMax bytes. Its length; 0 when there is none.
  size_t load(size_t slot, std::byte* into) const noexcept;

  // Steps 5 and 7 of request_slots.h, for a successor that may be killed as well.
  void keep_result(size_t slot, int error, const std::byte* body, size_t body_length) noexcept;
  void end_request(size_t slot) noexcept;

 private:
  int fd_;
  size_t count_ = 0;
};

}  // namespace galleonfs::fuse
