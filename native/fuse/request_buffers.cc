#include "request_buffers.h"

#include <sys/mman.h>

namespace galleonfs::fuse {

RequestBuffers::RequestBuffers(RequestSlots& slots) noexcept : slots_(slots), slot_(slots.take()), reply_(nullptr) {
  void* p = mmap(nullptr, kReplyBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (p == MAP_FAILED) return;
  reply_ = static_cast<std::byte*>(p);
  // A fork would make these pages copy-on-write, and the next reply could fault.
  madvise(reply_, kReplyBytes, MADV_DONTFORK);
  (void)mlock(reply_, kReplyBytes);
}

RequestBuffers::~RequestBuffers() { give_back(); }

void RequestBuffers::give_back() noexcept {
  if (slot_ != nullptr) slots_.give_back(slot_);
  if (reply_ != nullptr) munmap(reply_, kReplyBytes);
  slot_ = nullptr;
  reply_ = nullptr;
}

}  // namespace galleonfs::fuse
