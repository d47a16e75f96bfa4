// What is mounted, as /proc/self/mountinfo tells. The one way this daemon looks at mounts: it never opens or stats
// anything below its own, where the answer would have to come from itself.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace galleonfs::fuse {

inline constexpr const char* kMountSource = "galleonfs";
inline constexpr const char* kMountType = "fuse.galleonfs";

struct MountEntry {
  std::string device;  // "major:minor"; tells a mount from another that came later at the same place
  std::string mount_point;
  std::string type;
  std::string source;
};

// In mount order. An unreadable table reads as empty.
std::vector<MountEntry> read_mount_table();

// Pure: one line of mountinfo. Nothing when it is not in the documented form.
std::optional<MountEntry> parse_mountinfo_line(std::string_view line);

// The topmost mount at `path` (canonical), if any.
std::optional<MountEntry> find_mount(const std::string& path);

// Every mount of ours, stale ones of a dead daemon too.
std::vector<MountEntry> find_our_mounts();

// `path` absolute and without symbolic links, without touching its last component: that may be a dead mount.
// Empty when the parent does not exist.
std::string canonical_mount_point(const std::string& path);

}  // namespace galleonfs::fuse
