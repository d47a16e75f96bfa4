// Requests as raw bytes: what is accepted, what is refused, and what INIT settles. No mount is needed.
#include "check.h"
#include "fuse/negotiated.h"
#include "fuse/protocol.h"
#include "fuse/request_buffers.h"
#include "fuse/server.h"
#include "fuse/volume_directory.h"
#include "ram_device.h"

#include <fcntl.h>

#include <string>

using namespace galleonfs;
using namespace galleonfs::check;

namespace {

std::string message(uint32_t opcode, uint64_t node, const std::string& arguments) {
  fuse_in_header h{};
  h.len = static_cast<uint32_t>(sizeof h + arguments.size());
  h.opcode = opcode;
  h.nodeid = node;
  h.unique = 7;
  return std::string(reinterpret_cast<char*>(&h), sizeof h) + arguments;
}

template <class T>
std::string bytes_of(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

fuse::Parsed parse(const std::string& m, fuse::Request& r) {
  return fuse::parse_request(reinterpret_cast<const std::byte*>(m.data()), m.size(), r);
}

fuse::Parsed parse(const std::string& m) {
  fuse::Request r;
  return parse(m, r);
}

}  // namespace

TEST("a message must be as long as its header says") {
  std::string m = message(FUSE_STATFS, 1, "");
  CHECK_EQ(parse(m), fuse::Parsed::ok);
  CHECK_EQ(parse(m + "x"), fuse::Parsed::no_header);
  CHECK_EQ(parse(m.substr(0, 39)), fuse::Parsed::no_header);
  CHECK_EQ(parse(""), fuse::Parsed::no_header);
}

TEST("names must end inside the message and not be empty") {
  fuse::Request r;
  std::string lookup = message(FUSE_LOOKUP, 1, std::string("data\0", 5));
  CHECK_EQ(parse(lookup, r), fuse::Parsed::ok);
  CHECK_EQ(std::string(r.name), std::string("data"));
  CHECK_EQ(parse(message(FUSE_LOOKUP, 1, "data")), fuse::Parsed::bad_arguments);
  CHECK_EQ(parse(message(FUSE_LOOKUP, 1, std::string("\0", 1))), fuse::Parsed::bad_arguments);
  CHECK_EQ(parse(message(FUSE_LOOKUP, 1, "")), fuse::Parsed::bad_arguments);
  CHECK_EQ(parse(message(FUSE_GETXATTR, 1, bytes_of(fuse_getxattr_in{}) + "user.a")), fuse::Parsed::bad_arguments);
}

TEST("arguments cut short are refused for every opcode that has some") {
  for (uint32_t opcode : {FUSE_INIT, FUSE_GETATTR, FUSE_SETATTR, FUSE_OPEN, FUSE_OPENDIR, FUSE_READ, FUSE_READDIR, FUSE_READDIRPLUS,
                          FUSE_WRITE, FUSE_FLUSH, FUSE_FSYNC, FUSE_FSYNCDIR, FUSE_RELEASE, FUSE_RELEASEDIR, FUSE_ACCESS, FUSE_FALLOCATE,
                          FUSE_LSEEK, FUSE_COPY_FILE_RANGE, FUSE_LISTXATTR, FUSE_INTERRUPT, FUSE_FORGET, FUSE_BATCH_FORGET, FUSE_IOCTL}) {
    CHECK_EQ(parse(message(opcode, 1, "abc")), fuse::Parsed::bad_arguments);
  }
}

TEST("a write's size must be its payload's") {
  fuse_write_in w{};
  w.size = 3;
  fuse::Request r;
  std::string write = message(FUSE_WRITE, 2, bytes_of(w) + "abc");
  CHECK_EQ(parse(write, r), fuse::Parsed::ok);
  CHECK_EQ(r.payload_length, 3);
  CHECK_EQ(memcmp(r.payload, "abc", 3), 0);
  CHECK_EQ(parse(message(FUSE_WRITE, 2, bytes_of(w) + "ab")), fuse::Parsed::bad_arguments);
  CHECK_EQ(parse(message(FUSE_WRITE, 2, bytes_of(w) + "abcd")), fuse::Parsed::bad_arguments);
  w.size = 0xffffffff;
  CHECK_EQ(parse(message(FUSE_WRITE, 2, bytes_of(w) + "abc")), fuse::Parsed::bad_arguments);
}

TEST("a read beyond the reply buffer is refused") {
  fuse_read_in in{};
  in.size = fuse::kTransferMax;
  CHECK_EQ(parse(message(FUSE_READ, 2, bytes_of(in))), fuse::Parsed::ok);
  in.size++;
  CHECK_EQ(parse(message(FUSE_READ, 2, bytes_of(in))), fuse::Parsed::bad_arguments);
}

TEST("a batch of forgets must hold as many as it counts") {
  fuse_batch_forget_in in{};
  in.count = 2;
  CHECK_EQ(parse(message(FUSE_BATCH_FORGET, 0, bytes_of(in) + std::string(2 * sizeof(fuse_forget_one), 0))), fuse::Parsed::ok);
  in.count = 3;
  CHECK_EQ(parse(message(FUSE_BATCH_FORGET, 0, bytes_of(in) + std::string(2 * sizeof(fuse_forget_one), 0))), fuse::Parsed::bad_arguments);
  in.count = 0xffffffff;
  CHECK_EQ(parse(message(FUSE_BATCH_FORGET, 0, bytes_of(in))), fuse::Parsed::bad_arguments);
}

TEST("the INIT of old kernels is shorter") {
  fuse_init_in in{};
  in.major = 7;
  in.minor = 32;
  std::string body = bytes_of(in);
  fuse::Request r;
  CHECK_EQ(parse(message(FUSE_INIT, 0, body.substr(0, 16)), r), fuse::Parsed::ok);
  CHECK_EQ(r.init.minor, 32u);
  CHECK_EQ(r.init.flags2, 0u);
  CHECK_EQ(parse(message(FUSE_INIT, 0, body.substr(0, 15))), fuse::Parsed::bad_arguments);
}

TEST("INIT never settles on writeback caching or atomic O_TRUNC") {
  fuse_init_in in{};
  in.major = 7;
  in.minor = 45;
  in.flags = 0xffffffff;
  in.flags2 = 0xffffffff;
  fuse::Negotiated n;
  fuse_init_out out;
  CHECK_EQ(fuse::negotiate(in, {}, n, out), 0);
  CHECK_EQ(out.flags & (FUSE_WRITEBACK_CACHE | FUSE_ATOMIC_O_TRUNC | FUSE_AUTO_INVAL_DATA), 0u);
  CHECK(n.allows_direct_mmap());
  CHECK_EQ(out.max_pages, 256);
  CHECK_EQ(out.max_write, 1u << 20);
  CHECK(n.offered_flags & fuse::kHasResend);
}

TEST("INIT with an old kernel: no direct mmap before 6.6, nothing before 7.31") {
  fuse_init_in in{};
  in.major = 7;
  in.minor = 32;
  in.flags = 0xffffffff & ~FUSE_INIT_EXT;
  in.flags2 = 0xffffffff;  // stack garbage of a kernel that does not know it
  fuse::Negotiated n;
  fuse_init_out out;
  CHECK_EQ(fuse::negotiate(in, {}, n, out), 0);
  CHECK(!n.allows_direct_mmap());
  CHECK_EQ(out.minor, 32u);
  in.minor = 30;
  CHECK_EQ(fuse::negotiate(in, {}, n, out), EPROTO);
  in.major = 8;
  CHECK_EQ(fuse::negotiate(in, {}, n, out), EPROTO);
}

TEST("RESEND is settled where the kernel has it, and never when the slots are to be used") {
  fuse_init_in in{};
  in.major = 7;
  in.minor = 45;
  in.flags = in.flags2 = 0xffffffff;
  fuse::Negotiated n;
  fuse_init_out out;
  CHECK_EQ(fuse::negotiate(in, {}, n, out), 0);
  CHECK(n.resends());
  CHECK(out.flags2 & fuse::kHasResend >> 32);
  fuse::MountOptions slots;
  slots.in_flight = fuse::InFlight::slots;
  CHECK_EQ(fuse::negotiate(in, slots, n, out), 0);
  CHECK(!n.resends());
  CHECK(!(out.flags2 & fuse::kHasResend >> 32));
  in.flags2 = 0;
  CHECK_EQ(fuse::negotiate(in, {}, n, out), 0);
  CHECK(!n.resends());
}

TEST("what was negotiated is read back from its text, of this version and later ones, and nothing else is") {
  fuse::Negotiated n{38, 0x0123456789abcdef, 0xfedcba9876543210, 1 << 20, 12345};
  const std::string text = fuse::to_text(n);
  CHECK_EQ(text, "0100000026000000efcdab89674523011032547698badcfe0000100039300000");
  CHECK(fuse::negotiated_from_text(text) == n);
  CHECK(fuse::negotiated_from_text("02" + text.substr(2) + "00ff") == n);
  CHECK(!fuse::negotiated_from_text(""));
  CHECK(!fuse::negotiated_from_text(text.substr(1)));
  CHECK(!fuse::negotiated_from_text("00" + text.substr(2)));
  for (size_t i = 0; i < text.size(); i++) {
    std::string bad = text;
    bad[i] = 'G';
    CHECK(!fuse::negotiated_from_text(bad));
  }
}

TEST("a mount with longer requests than this version reads is not adopted") {
  RamDevice device(1 << 20);
  fuse::Server server;
  fuse::InheritedMount mount;
  int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
  mount.descriptors = {{0, fd}};
  mount.negotiated.max_write_bytes = 2 << 20;
  fuse::Error error;
  CHECK(!server.adopt(device, {}, mount, error));
  CHECK_EQ(std::string(error.code), "FUSE_MOUNT_FAILED");
  CHECK_EQ(fcntl(fd, F_GETFD), -1);
  mount = {};
  CHECK(!server.adopt(device, {}, mount, error));
}

TEST("a file is opened for direct I/O exactly when that can live with mmap") {
  RamDevice device(1 << 20);
  fuse::VolumeDirectory directory(device, {});
  fuse::RequestSlots slots(1);
  fuse::RequestBuffers buffers(slots);
  fuse::Request r;
  CHECK_EQ(parse(message(FUSE_OPEN, fuse::kDataNode, bytes_of(fuse_open_in{})), r), fuse::Parsed::ok);
  fuse_open_out out;
  for (bool direct : {true, false}) {
    directory.set_direct_io(direct);
    CHECK_EQ(directory.serve(r, buffers.reply_body()).error, 0);
    memcpy(&out, buffers.reply_body(), sizeof out);
    CHECK_EQ((out.open_flags & FOPEN_DIRECT_IO) != 0, direct);
    CHECK_EQ((out.open_flags & FOPEN_KEEP_CACHE) != 0, !direct);
  }
}

TEST("opcodes we do not know, or refuse, have their errors") {
  RamDevice device(1 << 20);
  fuse::VolumeDirectory directory(device, {});
  fuse::RequestSlots slots(1);
  fuse::RequestBuffers buffers(slots);
  auto error = [&](uint32_t opcode) {
    fuse::Request r;
    r.header = {};
    r.header.opcode = opcode;
    r.header.nodeid = fuse::kDataNode;
    return directory.serve(r, buffers.reply_body()).error;
  };
  CHECK_EQ(error(9999), ENOSYS);
  CHECK_EQ(error(FUSE_POLL), ENOSYS);
  CHECK_EQ(error(FUSE_IOCTL), ENOTTY);
  CHECK_EQ(error(FUSE_READLINK), EINVAL);
  CHECK_EQ(error(FUSE_SETXATTR), EOPNOTSUPP);
  CHECK_EQ(error(FUSE_UNLINK), EPERM);
  device.shared().read_only = true;
  CHECK_EQ(error(FUSE_UNLINK), EROFS);
}

TEST("a write's payload and a reply's body lie on page boundaries") {
  fuse::RequestSlots slots(1);
  fuse::RequestBuffers buffers(slots);
  CHECK(buffers.ok());
  CHECK_EQ(reinterpret_cast<uintptr_t>(buffers.request() + fuse::kWritePayloadOffset) % 4096, 0);
  CHECK_EQ(reinterpret_cast<uintptr_t>(buffers.reply_body()) % 4096, 0);
  CHECK(fuse::RequestBuffers::request_capacity() >= fuse::kRequestMax);
}

CHECK_MAIN()
