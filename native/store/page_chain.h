// A byte string of any length kept in a chain of map pages: the segment table, the page bitmap, the straggler run.
//   0   32    pointer to the next page (page 0: this is the last)
//   32  4     payload length   36  4  pages that follow
//   40  4056  payload
#pragma once
#include "format.h"

namespace galleonfs::store {

struct ChainHeader {
  PagePointer next;
  uint32_t length = 0;
  uint32_t index = 0;  // pages that follow
};
static_assert(sizeof(ChainHeader) == 40);
constexpr size_t kChainPayload = kPageBytes - sizeof(ChainHeader);

constexpr uint64_t chain_pages(size_t bytes) { return (bytes + kChainPayload - 1) / kChainPayload; }

}  // namespace galleonfs::store
