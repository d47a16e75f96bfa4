// The descriptors that outlive the daemon, in the order in which they came.
//
// Invariants: never more than `max`; no open file twice (the first name stays, as with systemd); every descriptor is
// close-on-exec here.
#pragma once
#include <cstddef>
#include <string>
#include <vector>

#include "descriptor.h"

namespace galleonfs::supervisor {

struct HeldDescriptor {
  Descriptor descriptor;
  std::string name;
  // Dropped once it reports hang-up or error.
  bool poll = true;
};

class DescriptorStore {
 public:
  enum class Added { stored, duplicate, full };

  explicit DescriptorStore(size_t max) : max_(max) {}

  Added add(Descriptor descriptor, const std::string& name, bool poll);

  // How many there were.
  size_t remove(const std::string& name);

  // Drops those that report hang-up or error: a FUSE descriptor does when its mount is gone. How many.
  //
  // They are looked at now and then, not watched: a watch on a FUSE descriptor is woken by every request on its mount.
  size_t drop_dead();

  const std::vector<HeldDescriptor>& held() const { return held_; }
  size_t max() const { return max_; }

 private:
  const size_t max_;
  std::vector<HeldDescriptor> held_;
};

}  // namespace galleonfs::supervisor
