#include "inherited_descriptors.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <charconv>
#include <optional>
#include <string_view>

namespace galleonfs::fuse {
namespace {

constexpr int kFirst = 3;
constexpr long kCountMax = 1 << 20;

std::string take_variable(const char* name) {
  const char* value = getenv(name);
  std::string text = value == nullptr ? "" : value;
  unsetenv(name);
  return text;
}

std::optional<long> number(const std::string& text) {
  long value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

std::vector<InheritedDescriptor> take_inherited_descriptors() {
  std::vector<InheritedDescriptor> inherited;
  auto pid = number(take_variable("LISTEN_PID"));
  auto count = number(take_variable("LISTEN_FDS"));
  const std::string names = take_variable("LISTEN_FDNAMES");
  if (!pid || *pid != getpid() || !count || *count <= 0 || *count > kCountMax) return inherited;
  std::string_view rest = names;
  for (int fd = kFirst; fd < kFirst + *count; fd++) {
    size_t end = rest.find(':');
    std::string name(rest.substr(0, end));
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) == 0) inherited.push_back({std::move(name), fd});
  }
  return inherited;
}

}  // namespace galleonfs::fuse
