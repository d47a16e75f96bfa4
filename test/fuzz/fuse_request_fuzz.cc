// Arbitrary bytes as messages from the kernel: parsed, and when sound, served on a small RAM device. Whatever they say,
// replies stay inside their buffer, data inside the device, and the directory as it was.
//
// The input is a sequence of messages: two bytes of length each, then the bytes. The header's length field is put right
// half of the time (by the low bit of the unique id), else few inputs would get beyond it.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "../native/ram_device.h"
#include "fuse/negotiated.h"
#include "fuse/protocol.h"
#include "fuse/volume_directory.h"

namespace {

using namespace galleonfs;

constexpr uint64_t kSize = 1 << 20;

void require(bool holds) {
  if (!holds) abort();
}

void serve(fuse::VolumeDirectory& directory, const std::byte* message, size_t length, std::byte* body) {
  fuse::Request request;
  if (fuse::parse_request(message, length, request) != fuse::Parsed::ok) return;
  require(request.payload == nullptr || (request.payload >= message && request.payload + request.payload_length <= message + length));
  require(request.name.size() < length);
  if (fuse::wants_no_reply(request.header.opcode) || request.header.opcode == FUSE_INTERRUPT) return;
  if (request.header.opcode == FUSE_INIT) {
    fuse::Negotiated negotiated;
    fuse_init_out out;
    if (fuse::negotiate(request.init, {}, negotiated, out) == 0) require((out.flags & (FUSE_WRITEBACK_CACHE | FUSE_ATOMIC_O_TRUNC)) == 0);
    return;
  }
  (void)fuse::group_of(request);
  (void)directory.may_take_long(request);
  uint64_t from;
  (void)directory.discarded_by_truncate(request, from);
  fuse::Reply reply = directory.serve(request, body);
  require(reply.error >= 0 && reply.error < 4096);
  require(reply.length <= fuse::kTransferMax);
  if (request.header.opcode == FUSE_READ && reply.error == 0) require(reply.length <= request.read.size);
  if ((request.header.opcode == FUSE_READDIR || request.header.opcode == FUSE_READDIRPLUS) && reply.error == 0) {
    require(reply.length <= request.read.size);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static check::RamDevice device(kSize);
  static std::vector<std::byte> body(fuse::kTransferMax);  // on the heap: an overrun is seen
  fuse::MountOptions options;
  options.readme = "text";
  if (size > 0) options.truncate = static_cast<fuse::TruncatePolicy>(data[0] % 3);
  fuse::VolumeDirectory directory(device, options);
  while (size >= 2) {
    size_t length = data[0] | data[1] << 8;
    data += 2;
    size -= 2;
    if (length > size) length = size;
    std::vector<std::byte> message(length);  // exactly as long as it is: reading beyond is seen
    if (length > 0) memcpy(message.data(), data, length);
    if (length >= sizeof(fuse_in_header) && (data[8] & 1)) {
      uint32_t n = static_cast<uint32_t>(length);
      memcpy(message.data(), &n, sizeof n);
    }
    serve(directory, message.data(), length, body.data());
    data += length;
    size -= length;
  }
  require(device.size_bytes() == kSize);
  return 0;
}
