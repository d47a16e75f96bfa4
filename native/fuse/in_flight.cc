#include "in_flight.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace galleonfs::fuse {

void InFlightRecovery::run(std::span<InheritedSlots> generations) noexcept {
  for_each(generations, What::applied);
  if (!session_.negotiated().resends() || !resend()) for_each(generations, What::received);
}

void InFlightRecovery::for_each(std::span<InheritedSlots> generations, What what) noexcept {
  const std::vector<IndexedDescriptor> descriptors = session_.descriptors();
  for (InheritedSlots& slots : generations) {
    for (size_t slot = 0; slot < slots.count(); slot++) {
      auto request = slots.at(slot);
      if (!request || request->key != session_.options().key || request->applied != (what == What::applied)) continue;
      bool known = false;
      for (const IndexedDescriptor& descriptor : descriptors) {
        if (descriptor.index != request->index) continue;
        known = true;
        if (what == What::applied) reply(*request, descriptor.fd);
        else carry_out(slots, *request, descriptor.fd);
      }
      if (!known) continue;
      slots.end_request(slot);
    }
  }
}

void InFlightRecovery::reply(const InheritedRequest& inherited, int fd) noexcept {
  std::memcpy(buffers_.reply_body(), inherited.body.data(), inherited.body_length);
  session_.send(fd, buffers_, inherited.unique, inherited.error, inherited.body_length);
}

void InFlightRecovery::carry_out(InheritedSlots& slots, const InheritedRequest& inherited, int fd) noexcept {
  Request request;
  size_t length = slots.load(inherited.slot, buffers_.request());
  Parsed parsed = parse_request(buffers_.request(), length, request);
  if (parsed == Parsed::no_header || wants_no_reply(request.header.opcode) || request.header.opcode == FUSE_INIT) return;
  if (request.header.opcode != FUSE_INTERRUPT && !is_awaited(fd, inherited.unique)) return;
  Reply reply = session_.perform(request, parsed == Parsed::ok, buffers_);
  if (has_effect(request.header.opcode)) {
    slots.keep_result(inherited.slot, reply.error, buffers_.reply_body(), reply.error ? 0 : reply.length);
  }
  session_.send(fd, buffers_, inherited.unique, reply.error, reply.length);
}

// Answers an INTERRUPT of the request that was never sent: the kernel looks for the request and leaves it as it is. ENOSYS is
// what every INTERRUPT is answered with here.
bool InFlightRecovery::is_awaited(int fd, uint64_t unique) noexcept {
  fuse_out_header* header = buffers_.reply_header();
  header->unique = unique | kInterruptBit;
  header->error = -ENOSYS;
  header->len = sizeof *header;
  return ::write(fd, header, sizeof *header) >= 0;
}

bool InFlightRecovery::resend() noexcept {
  fuse_out_header* header = buffers_.reply_header();
  header->unique = 0;
  header->error = kNotifyResend;
  header->len = sizeof *header;
  const int fd = session_.fd_at(0);
  return fd >= 0 && ::write(fd, header, sizeof *header) >= 0;
}

}  // namespace galleonfs::fuse
