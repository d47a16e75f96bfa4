#include "event_log.h"

#include <poll.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>

namespace galleonfs::supervisor {
namespace {

// With every byte escaped and the fields still below PIPE_BUF.
constexpr size_t kTextBytesMax = 480;

const char* name_of(Level level) {
  switch (level) {
    case Level::debug: return "debug";
    case Level::info: return "info";
    case Level::warn: return "warn";
    case Level::error: return "error";
    case Level::silent: break;
  }
  return "silent";
}

const char* label_of(Level level) {
  switch (level) {
    case Level::debug: return "DEBUG";
    case Level::info: return "INFO ";
    case Level::warn: return "WARN ";
    case Level::error: return "ERROR";
    case Level::silent: break;
  }
  return "";
}

void append_quoted(std::string& out, std::string_view text) {
  out += '"';
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte >= 0x7f) {
      // Bytes that may not be UTF-8 are shown as code points of Latin-1: legible, and always valid JSON.
      char escaped[7];
      snprintf(escaped, sizeof escaped, "\\u%04x", byte);
      out += escaped;
    } else {
      out += c;
    }
  }
  out += '"';
}

// `"a":1,"b":"x"`
std::string members(std::initializer_list<Field> fields) {
  std::string out;
  for (const Field& field : fields) {
    if (!out.empty()) out += ',';
    append_quoted(out, field.name);
    out += ':';
    if (const auto* number = std::get_if<int64_t>(&field.value)) {
      out += std::to_string(*number);
    } else {
      append_quoted(out, std::get<std::string>(field.value));
    }
  }
  return out;
}

std::string iso_time() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  tm parts{};
  gmtime_r(&now.tv_sec, &parts);
  char seconds[32];
  strftime(seconds, sizeof seconds, "%Y-%m-%dT%H:%M:%S", &parts);
  char whole[48];
  snprintf(whole, sizeof whole, "%s.%03dZ", seconds, static_cast<int>(now.tv_nsec / 1000000));
  return whole;
}

}  // namespace

std::optional<Level> parse_level(std::string_view name) {
  if (name == "trace" || name == "debug") return Level::debug;
  if (name == "info") return Level::info;
  if (name == "warn") return Level::warn;
  if (name == "error" || name == "fatal") return Level::error;
  if (name == "silent") return Level::silent;
  return std::nullopt;
}

std::string json_line(Level level, std::string_view time, std::string_view text, std::initializer_list<Field> fields) {
  std::string line = "{\"level\":\"" + std::string(name_of(level)) + "\",\"time\":\"" + std::string(time) + "\",";
  if (fields.size() > 0) line += members(fields) + ',';
  line += "\"msg\":";
  append_quoted(line, text.substr(0, kTextBytesMax));
  return line + "}\n";
}

std::string readable_line(Level level, std::string_view time, std::string_view text,
                          std::initializer_list<Field> fields) {
  std::string line = std::string(time.substr(11, 8)) + ' ' + label_of(level) + ' ' + std::string(text.substr(0, kTextBytesMax));
  if (level != Level::info && fields.size() > 0) line += " {" + members(fields) + '}';
  return line + '\n';
}

void EventLog::write(Level level, const std::string& text, std::initializer_list<Field> fields) const {
  if (level < least_) return;
  const std::string time = iso_time();
  const std::string line = readable_ ? readable_line(level, time, text, fields) : json_line(level, time, text, fields);
  // A pipe that is ready takes PIPE_BUF bytes, more than any line, without waiting.
  pollfd ready{descriptor_, POLLOUT, 0};
  if (poll(&ready, 1, 0) != 1 || (ready.revents & POLLOUT) == 0) return;
  [[maybe_unused]] const ssize_t written = ::write(descriptor_, line.data(), line.size());
}

}  // namespace galleonfs::supervisor
