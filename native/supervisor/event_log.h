// Lines on stderr, one an event, in the form of the daemon's own: JSON as pino writes it, or a readable line where
// stderr is a terminal.
//
// A line is dropped rather than waited for: a reader that does not read must not keep the daemon from being started.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace galleonfs::supervisor {

enum class Level { debug, info, warn, error, silent };

// pino's names; `trace` logs what debug does and `fatal` what error does.
std::optional<Level> parse_level(std::string_view name);

struct Field {
  const char* name;
  std::variant<int64_t, std::string> value;

  Field(const char* n, int64_t v) : name(n), value(v) {}
  Field(const char* n, std::string v) : name(n), value(std::move(v)) {}
};

class EventLog {
 public:
  EventLog(int descriptor, Level least, bool readable) : descriptor_(descriptor), least_(least), readable_(readable) {}

  void debug(const std::string& text, std::initializer_list<Field> fields = {}) const {
    write(Level::debug, text, fields);
  }
  void info(const std::string& text, std::initializer_list<Field> fields = {}) const {
    write(Level::info, text, fields);
  }
  void warn(const std::string& text, std::initializer_list<Field> fields = {}) const {
    write(Level::warn, text, fields);
  }
  void error(const std::string& text, std::initializer_list<Field> fields = {}) const {
    write(Level::error, text, fields);
  }

 private:
  void write(Level level, const std::string& text, std::initializer_list<Field> fields) const;

  const int descriptor_;
  const Level least_;
  const bool readable_;
};

// Pure. `time` is an ISO 8601 time with milliseconds.
std::string json_line(Level level, std::string_view time, std::string_view text, std::initializer_list<Field> fields);
std::string readable_line(Level level, std::string_view time, std::string_view text,
                          std::initializer_list<Field> fields);

}  // namespace galleonfs::supervisor
