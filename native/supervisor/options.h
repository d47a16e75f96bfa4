// The supervisor's command line.
#pragma once
#include <string>
#include <variant>
#include <vector>

#include "event_log.h"

namespace galleonfs::supervisor {

inline constexpr const char* kUsage =
    "usage: galleonfs-supervisor [options] [--] program [argument...]\n"
    "Runs the program, holds the descriptors it deposits (sd_notify: FDSTORE=1), starts it again when it dies and gives\n"
    "them back to it (LISTEN_FDS). Exit code 0 of the program ends it, 85 asks for a new start.\n"
    "  --watchdog-ms N        abort the program when it is ready and says nothing (WATCHDOG=1) for N ms; 0: never\n"
    "  --failures-max N       starts in a row that may fail before it is ready (default 10)\n"
    "  --descriptors-max N    descriptors that may be deposited (default 8192)\n"
    "  --log-level LEVEL      trace, debug, info, warn, error, fatal, silent (default info)\n";

struct Options {
  uint64_t watchdog_ms = 0;
  unsigned failures_max = 10;
  size_t descriptors_max = 8192;
  Level log_level = Level::info;
  std::vector<std::string> command;
};

// Pure. The options, or what is wrong with them; an empty text asks for the usage.
std::variant<Options, std::string> parse_options(const std::vector<std::string>& arguments);

}  // namespace galleonfs::supervisor
