// Datagrams of arbitrary bytes to the supervisor's parser; what it makes of them is checked for what must always hold.
#include "supervisor/event_log.h"
#include "supervisor/notify_message.h"

#include <cstdint>
#include <cstdlib>

namespace {

void require(bool condition) {
  if (!condition) abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace galleonfs::supervisor;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto message = parse_notify_message(text);
  if (!message) return 0;
  if (message->name) require(is_valid_name(*message->name) && !message->name_invalid);
  if (message->ready) require(text.find("READY=1") != std::string_view::npos);
  if (message->barrier) require(text.find("BARRIER=1") != std::string_view::npos);
  if (message->status) {
    require(message->status->find('\n') == std::string::npos);
    const std::string line = json_line(Level::info, "2026-11-20T12:00:05.001Z", *message->status, {});
    // One line of ASCII, and short enough for a pipe to take it at once.
    require(line.size() <= 4096 && line.find('\n') == line.size() - 1);
    for (char c : line) require(c == '\n' || (c >= ' ' && c < 127));
  }
  return 0;
}
