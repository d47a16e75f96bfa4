// The descriptors a process was started with, as the descriptor store hands them back: LISTEN_PID, LISTEN_FDS and
// LISTEN_FDNAMES in the environment, the descriptors from number 3 on.
#pragma once
#include <string>
#include <vector>

namespace galleonfs::fuse {

struct InheritedDescriptor {
  std::string name;
  int fd;
};

// Takes them: close-on-exec is set and the variables are removed, so a second call returns nothing. Nothing either when
// they were meant for another process. Called while no other thread reads the environment.
std::vector<InheritedDescriptor> take_inherited_descriptors();

}  // namespace galleonfs::fuse
