#include "descriptor_store.h"

#include <linux/kcmp.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <algorithm>

namespace galleonfs::supervisor {
namespace {

bool is_device(const struct stat& s) { return S_ISCHR(s.st_mode) || S_ISBLK(s.st_mode); }

// The same open file, not merely the same inode: all FUSE descriptors share /dev/fuse.
bool is_same_file(int a, int b) {
  struct stat stat_a, stat_b;
  if (fstat(a, &stat_a) != 0 || fstat(b, &stat_b) != 0) return false;
  if (stat_a.st_ino != stat_b.st_ino || stat_a.st_dev != stat_b.st_dev || stat_a.st_mode != stat_b.st_mode) return false;
  const pid_t self = getpid();
  const long order = syscall(SYS_kcmp, self, self, KCMP_FILE, a, b);
  if (order >= 0) return order == 0;
  // No kcmp here (seccomp, an older kernel). Of a device each open may be another thing, so it is kept.
  return !is_device(stat_a);
}

bool is_dead(const pollfd& p) { return (p.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0; }

}  // namespace

DescriptorStore::Added DescriptorStore::add(Descriptor descriptor, const std::string& name, bool poll) {
  for (const HeldDescriptor& other : held_) {
    if (is_same_file(other.descriptor.number(), descriptor.number())) return Added::duplicate;
  }
  if (held_.size() >= max_) drop_dead();
  if (held_.size() >= max_) return Added::full;
  held_.push_back({std::move(descriptor), name, poll});
  return Added::stored;
}

size_t DescriptorStore::remove(const std::string& name) {
  return std::erase_if(held_, [&](const HeldDescriptor& held) { return held.name == name; });
}

size_t DescriptorStore::drop_dead() {
  std::vector<pollfd> polled;
  // Negative numbers are passed over by poll().
  for (const HeldDescriptor& held : held_) polled.push_back({held.poll ? held.descriptor.number() : -1, 0, 0});
  // Files that cannot be polled count as ready, never as dead.
  if (polled.empty() || ::poll(polled.data(), polled.size(), 0) <= 0) return 0;
  size_t i = 0;
  return std::erase_if(held_, [&](const HeldDescriptor&) { return is_dead(polled[i++]); });
}

}  // namespace galleonfs::supervisor
