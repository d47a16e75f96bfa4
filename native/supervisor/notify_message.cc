#include "notify_message.h"

#include <charconv>

namespace galleonfs::supervisor {
namespace {

std::optional<std::string_view> value_of(std::string_view line, std::string_view key) {
  if (line.size() <= key.size() || !line.starts_with(key) || line[key.size()] != '=') return std::nullopt;
  return line.substr(key.size() + 1);
}

std::optional<uint64_t> whole_number(std::string_view text) {
  uint64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

void read_line(std::string_view line, NotifyMessage& message) {
  if (line == "READY=1") message.ready = true;
  if (line == "STOPPING=1") message.stopping = true;
  if (line == "WATCHDOG=1") message.watchdog = true;
  if (line == "WATCHDOG=trigger") message.watchdog_trigger = true;
  if (line == "FDSTORE=1") message.store = true;
  if (line == "FDSTOREREMOVE=1") message.store_remove = true;
  if (line == "FDPOLL=0") message.poll = false;
  if (line == "BARRIER=1") message.barrier = true;
  if (auto name = value_of(line, "FDNAME"); name && !message.name && !message.name_invalid) {
    if (is_valid_name(*name)) {
      message.name = std::string(*name);
    } else {
      message.name_invalid = true;
    }
  }
  if (auto status = value_of(line, "STATUS"); status && !message.status) message.status = std::string(*status);
  if (auto text = value_of(line, "WATCHDOG_USEC"); text && !message.watchdog_usec) {
    message.watchdog_usec = whole_number(*text);
  }
}

}  // namespace

std::optional<NotifyMessage> parse_notify_message(std::string_view text) {
  // One NUL at the end is a C string's.
  if (!text.empty() && text.back() == '\0') text.remove_suffix(1);
  if (text.empty() || text.size() > kMessageBytesMax || text.find('\0') != std::string_view::npos) return std::nullopt;
  NotifyMessage message;
  while (!text.empty()) {
    size_t end = text.find('\n');
    read_line(text.substr(0, end), message);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return message;
}

bool is_valid_name(std::string_view name) {
  if (name.size() > kNameBytesMax) return false;
  for (char c : name) {
    if (c < ' ' || c >= 127 || c == ':') return false;
  }
  return true;
}

}  // namespace galleonfs::supervisor
