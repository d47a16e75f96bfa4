#include "options.h"

#include <charconv>

namespace galleonfs::supervisor {
namespace {

constexpr uint64_t kNumberMax = 1'000'000'000;

std::optional<uint64_t> number_between(const std::string& text, uint64_t least) {
  uint64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < least || number > kNumberMax) {
    return std::nullopt;
  }
  return number;
}

// False when there is no such option, or the value does not suit it.
bool set(Options& options, const std::string& name, const std::string& value) {
  if (name == "--log-level") {
    const auto level = parse_level(value);
    if (level) options.log_level = *level;
    return level.has_value();
  }
  const auto number = number_between(value, name == "--watchdog-ms" ? 0 : 1);
  if (!number) return false;
  if (name == "--watchdog-ms") {
    options.watchdog_ms = *number;
  } else if (name == "--failures-max") {
    options.failures_max = static_cast<unsigned>(*number);
  } else if (name == "--descriptors-max") {
    options.descriptors_max = *number;
  } else {
    return false;
  }
  return true;
}

}  // namespace

std::variant<Options, std::string> parse_options(const std::vector<std::string>& arguments) {
  Options options;
  size_t i = 0;
  while (i < arguments.size() && arguments[i].starts_with("-")) {
    const std::string& name = arguments[i++];
    if (name == "--") break;
    if (name == "--help") return std::string();
    if (i == arguments.size()) return name + " needs a value, or is no option";
    const std::string& value = arguments[i++];
    if (!set(options, name, value)) return name + " " + value + ": no such option, or not a value for it";
  }
  options.command.assign(arguments.begin() + static_cast<std::ptrdiff_t>(i), arguments.end());
  if (options.command.empty()) return std::string("there is no program to run");
  return options;
}

}  // namespace galleonfs::supervisor
