#include "request_buffers.h"

#include <sys/mman.h>

namespace galleonfs::fuse {

RequestBuffers::RequestBuffers() noexcept {
  void* p = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  base_ = p == MAP_FAILED ? nullptr : static_cast<std::byte*>(p);
  if (base_ == nullptr) return;
  // A fork would make these pages copy-on-write, and the next reply could fault.
  madvise(base_, kBytes, MADV_DONTFORK);
  (void)mlock(base_, kBytes);  // often refused (RLIMIT_MEMLOCK); prefaulted pages are then merely likely to stay
}

RequestBuffers::~RequestBuffers() {
  if (base_ != nullptr) munmap(base_, kBytes);
}

}  // namespace galleonfs::fuse
