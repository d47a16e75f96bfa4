#include "mount_table.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

namespace galleonfs::fuse {
namespace {

std::string read_whole(const char* path) {
  std::string text;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return text;
  char chunk[16384];
  for (ssize_t n; (n = read(fd, chunk, sizeof chunk)) > 0;) text.append(chunk, static_cast<size_t>(n));
  close(fd);
  return text;
}

bool octal(char c) { return c >= '0' && c <= '7'; }

// Space, tab, newline and backslash stand as \ooo.
std::string unescape(std::string_view field) {
  std::string out;
  for (size_t i = 0; i < field.size(); i++) {
    if (field[i] == '\\' && i + 3 < field.size() && octal(field[i + 1]) && octal(field[i + 2]) && octal(field[i + 3])) {
      out += static_cast<char>((field[i + 1] - '0') << 6 | (field[i + 2] - '0') << 3 | (field[i + 3] - '0'));
      i += 3;
    } else {
      out += field[i];
    }
  }
  return out;
}

std::string_view next_field(std::string_view& line) {
  size_t space = line.find(' ');
  std::string_view field = line.substr(0, space);
  line.remove_prefix(space == std::string_view::npos ? line.size() : space + 1);
  return field;
}

}  // namespace

// "36 35 98:0 /root /mount/point rw,noatime master:1 - fuse.galleonfs galleonfs rw,user_id=0"
std::optional<MountEntry> parse_mountinfo_line(std::string_view line) {
  next_field(line);
  next_field(line);
  MountEntry entry;
  entry.device = next_field(line);
  next_field(line);
  entry.mount_point = unescape(next_field(line));
  next_field(line);
  while (!line.empty() && next_field(line) != "-") {
  }
  entry.type = unescape(next_field(line));
  entry.source = unescape(next_field(line));
  if (entry.mount_point.empty() || entry.type.empty()) return std::nullopt;
  return entry;
}

std::vector<MountEntry> read_mount_table() {
  std::vector<MountEntry> entries;
  const std::string text = read_whole("/proc/self/mountinfo");
  for (std::string_view rest = text; !rest.empty();) {
    size_t end = rest.find('\n');
    if (auto entry = parse_mountinfo_line(rest.substr(0, end))) entries.push_back(std::move(*entry));
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  }
  return entries;
}

std::optional<MountEntry> find_mount(const std::string& path) {
  std::optional<MountEntry> found;
  for (MountEntry& entry : read_mount_table()) {
    if (entry.mount_point == path) found = std::move(entry);
  }
  return found;
}

std::vector<MountEntry> find_our_mounts() {
  std::vector<MountEntry> ours;
  for (MountEntry& entry : read_mount_table()) {
    if (entry.type == kMountType) ours.push_back(std::move(entry));
  }
  return ours;
}

std::string canonical_mount_point(const std::string& path) {
  std::string trimmed = path;
  while (trimmed.size() > 1 && trimmed.back() == '/') trimmed.pop_back();
  size_t slash = trimmed.rfind('/');
  std::string parent = slash == std::string::npos ? "." : slash == 0 ? "/" : trimmed.substr(0, slash);
  std::string last = slash == std::string::npos ? trimmed : trimmed.substr(slash + 1);
  char resolved[PATH_MAX];
  if (last.empty() || last == "." || last == "..") return realpath(path.c_str(), resolved) ? resolved : "";
  if (!realpath(parent.c_str(), resolved)) return "";
  std::string canonical = resolved;
  if (canonical != "/") canonical += '/';
  return canonical + last;
}

}  // namespace galleonfs::fuse
