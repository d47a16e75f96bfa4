// Arbitrary bytes where a process that is gone left its request slots: its successor's recovery reads them, answers and carries
// out what they say on a small RAM device, and comes through. What it handled is not found a second time.
//
// The input patches a sound file: the first byte chooses the way (bit 0: the kernel resends), then come patches of one byte
// region (0: the file's header, 1 to 3: a slot's header, 4 to 6: its message), two bytes offset, one byte length, the bytes.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "../native/ram_device.h"
#include "fuse/in_flight.h"

namespace {

using namespace galleonfs;

constexpr uint64_t kSize = 1 << 20;
constexpr uint64_t kKey = 0x1122334455667788;
constexpr uint32_t kSlots = 3;

void require(bool holds) {
  if (!holds) abort();
}

off_t slot_at(size_t slot) { return static_cast<off_t>(fuse::kFirstSlot + slot * fuse::kSlotBytes); }

template <class T>
void put(int fd, const T& value, off_t at) {
  require(pwrite(fd, &value, sizeof value, at) == sizeof value);
}

// Slot 0: a WRITE that was received; 1: one whose result was kept; 2: a FALLOCATE that was received.
void make_sound(int fd) {
  fuse::SlotsHeader header{};
  memcpy(header.magic, fuse::kSlotsMagic, sizeof header.magic);
  header.version = fuse::kSlotsVersion;
  header.count = kSlots;
  header.slot_bytes = fuse::kSlotBytes;
  put(fd, header, 0);
  for (uint32_t i = 0; i < kSlots; i++) {
    fuse::SlotHeader slot{};
    slot.state = i == 1 ? fuse::SlotState::applied : fuse::SlotState::reading;
    slot.key = kKey;
    slot.body_length = i == 1 ? sizeof(fuse_write_out) : 0;
    put(fd, slot, slot_at(i));
    struct {
      fuse_in_header in;
      union {
        fuse_write_in write;
        fuse_fallocate_in fallocate;
      };
    } message{};
    message.in.unique = 2 + 2 * i;
    message.in.nodeid = fuse::kDataNode;
    message.in.opcode = i == 2 ? FUSE_FALLOCATE : FUSE_WRITE;
    message.in.len = static_cast<uint32_t>(sizeof message.in + (i == 2 ? sizeof message.fallocate : sizeof message.write + 512));
    if (i == 2) {
      message.fallocate.length = 4096;
      message.fallocate.mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    } else {
      message.write.size = 512;
    }
    put(fd, message, slot_at(i) + static_cast<off_t>(fuse::kSlotMessage));
  }
}

void patch(int fd, const uint8_t*& data, size_t& size) {
  size_t region = data[0] % (1 + 2 * kSlots), offset = data[1] | data[2] << 8, length = data[3];
  data += 4;
  size -= 4;
  if (length > size) length = size;
  off_t base = region == 0 ? 0
               : region <= kSlots ? slot_at(region - 1)
                                  : slot_at(region - 1 - kSlots) + static_cast<off_t>(fuse::kSlotMessage);
  require(length == 0 || pwrite(fd, data, length, base + static_cast<off_t>(offset % 256)) == static_cast<ssize_t>(length));
  data += length;
  size -= length;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static check::RamDevice device(kSize);
  static fuse::RequestSlots own(1);
  static fuse::RequestBuffers buffers(own);
  static const int file = [] {
    int fd = memfd_create("slots", MFD_CLOEXEC);
    require(fd >= 0 && ftruncate(fd, slot_at(kSlots)) == 0);
    return fd;
  }();
  fuse::Negotiated negotiated;
  if (size > 0) {
    if (data[0] & 1) negotiated.flags = fuse::kHasResend;
    data++;
    size--;
  }
  make_sound(file);
  while (size >= 4) patch(file, data, size);

  fuse::MountOptions options;
  options.key = kKey;
  // Every answer is taken and every request awaited.
  fuse::Session session(device, options, "", {{0, open("/dev/null", O_WRONLY | O_CLOEXEC)}}, &negotiated, nullptr);
  fuse::InheritedSlots slots(dup(file));
  fuse::InFlightRecovery recovery(session, buffers);
  recovery.run({&slots, 1});
  for (size_t i = 0; i < slots.count(); i++) {
    auto left = slots.at(i);
    if (left && left->key == kKey && left->index == 0) require(negotiated.resends() && !left->applied);
  }
  require(session.counters().in_flight == 0);
  require(device.size_bytes() == kSize);
  return 0;
}
