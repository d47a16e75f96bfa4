// What the process was started with by the descriptor store: the connections of mounts that an earlier daemon served, and
// the request slots of all daemons since the last one that left nothing. One list a process, of the JavaScript thread.
//
// Every connection is adopted or dropped, once; then finish() ends the old slots. Until then a mount being adopted uses them
// on a worker, so finish() is refused.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "../fuse/inherited_descriptors.h"
#include "../fuse/inherited_slots.h"
#include "../fuse/session.h"

namespace galleonfs::node {

using Generations = std::shared_ptr<std::vector<fuse::InheritedSlots>>;

class InheritedMounts {
 public:
  static InheritedMounts& of_process();

  // Takes them from the environment. What is not a slots file is returned as well, with its descriptor still open.
  std::vector<fuse::InheritedDescriptor> take();

  // The connection with this key, for adopting: exactly the descriptors in `expected`. Nothing when they are not what was
  // inherited for it.
  std::optional<std::vector<fuse::IndexedDescriptor>> claim(uint64_t key, const std::vector<int>& expected);

  // Closes what was inherited for `key` and takes it out of the store: a mount nobody else holds answers ENOTCONN then.
  void drop(uint64_t key);

  // Slots, for as long as the mount is being adopted.
  Generations begin_adopting();
  void end_adopting() { adopting_--; }

  // Drops what is left, and the old slots. False: a mount is being adopted.
  bool finish();

 private:
  struct Connection {
    uint64_t key;
    uint32_t index;
    int fd;  // -1: claimed
    std::string name;
  };

  std::vector<Connection> connections_;
  Generations generations_ = std::make_shared<std::vector<fuse::InheritedSlots>>();
  std::vector<std::string> slots_names_;
  size_t adopting_ = 0;
};

}  // namespace galleonfs::node
