// What a killed process left in flight on a mount, answered by its successor before it serves the mount. In this order:
//
//   1  Results that were kept (request_slots.h, `applied`) are sent. If they had been sent before, the kernel says ENOENT.
//   2  What was received and not carried out: where the kernel can (resends()), it is asked to send all it has no answer for
//      once more, with bit 63 of the id set; it must be asked after the old process is gone, else it might still be
//      reading, and before the first read. Else the requests are carried out from the slots, each after asking the kernel
//      whether it still waits for it, its result kept in the old slot before it is sent.
//   3  Then the mount is served.
//
// A kill anywhere in here leaves slots that the next successor handles the same way.
#pragma once
#include <span>

#include "inherited_slots.h"
#include "session.h"

namespace galleonfs::fuse {

class InFlightRecovery {
 public:
  // Nothing reads the session yet. `buffers` are used for reading slots and building replies.
  InFlightRecovery(Session& session, const RequestBuffers& buffers) noexcept : session_(session), buffers_(buffers) {}

  // Steps 1 and 2 with all slots inherited, of several generations when successors were killed too.
  void run(std::span<InheritedSlots> generations) noexcept;

 private:
  enum class What { applied, received };

  void for_each(std::span<InheritedSlots> generations, What what) noexcept;
  void reply(const InheritedRequest& request, int fd) noexcept;
  void carry_out(InheritedSlots& slots, const InheritedRequest& request, int fd) noexcept;
  bool is_awaited(int fd, uint64_t unique) noexcept;
  bool resend() noexcept;

  Session& session_;
  const RequestBuffers& buffers_;
};

}  // namespace galleonfs::fuse
