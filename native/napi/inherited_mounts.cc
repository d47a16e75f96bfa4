#include "inherited_mounts.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "process_parts.h"

namespace galleonfs::node {

InheritedMounts& InheritedMounts::of_process() {
  static auto& mounts = *new InheritedMounts;
  return mounts;
}

std::vector<fuse::InheritedDescriptor> InheritedMounts::take() {
  std::vector<fuse::InheritedDescriptor> all = fuse::take_inherited_descriptors();
  std::erase_if(all, [&](const fuse::InheritedDescriptor& one) {
    if (auto name = fuse::parse_connection_name(one.name)) connections_.push_back({name->key, name->index, one.fd, one.name});
    if (!fuse::is_slots_name(one.name)) return false;
    slots_names_.push_back(one.name);
    fuse::InheritedSlots slots(one.fd);
    if (slots.ok()) generations_->push_back(std::move(slots));
    return true;
  });
  return all;
}

std::optional<std::vector<fuse::IndexedDescriptor>> InheritedMounts::claim(uint64_t key, const std::vector<int>& expected) {
  std::vector<fuse::IndexedDescriptor> claimed;
  for (const Connection& one : connections_) {
    if (one.key == key && one.fd >= 0) claimed.push_back({one.index, one.fd});
  }
  auto is_claimed = [&](int fd) { return std::any_of(claimed.begin(), claimed.end(), [fd](auto& c) { return c.fd == fd; }); };
  if (claimed.empty() || claimed.size() != expected.size() || !std::all_of(expected.begin(), expected.end(), is_claimed)) {
    return std::nullopt;
  }
  for (Connection& one : connections_) {
    if (one.key == key) one.fd = -1;
  }
  return claimed;
}

void InheritedMounts::drop(uint64_t key) {
  for (const Connection& one : connections_) {
    if (one.key != key) continue;
    descriptor_store().remove(one.name);
    if (one.fd >= 0) close(one.fd);
  }
  std::erase_if(connections_, [key](const Connection& one) { return one.key == key; });
}

Generations InheritedMounts::begin_adopting() {
  adopting_++;
  return generations_;
}

bool InheritedMounts::finish() {
  if (adopting_ > 0) return false;
  for (const Connection& one : connections_) {
    if (one.fd < 0) continue;
    descriptor_store().remove(one.name);
    close(one.fd);
  }
  connections_.clear();
  for (const std::string& name : slots_names_) descriptor_store().remove(name);
  slots_names_.clear();
  generations_ = std::make_shared<std::vector<fuse::InheritedSlots>>();
  return true;
}

}  // namespace galleonfs::node
