// One datagram of the sd_notify protocol, as text: lines of NAME=value, in any order, unknown ones passed over.
//
//   READY=1          started, and serving            STOPPING=1        ending for good: it is not started again
//   STATUS=text      a line for people               WATCHDOG=1        alive
//   FDSTORE=1        keep the attached descriptors   WATCHDOG=trigger  act as if the watchdog had run out
//   FDNAME=name      under this name                 WATCHDOG_USEC=n   a new interval
//   FDPOLL=0         also when they report hang-up   BARRIER=1         close the attached descriptor when all before
//   FDSTOREREMOVE=1  forget those named FDNAME                         it has been dealt with; stands alone
//
// Where a line occurs twice the first counts. Reference: sd_notify(3), sd_pid_notify_with_fds(3).
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace galleonfs::supervisor {

// As systemd's: a longer datagram is dropped.
inline constexpr size_t kMessageBytesMax = 4096;
inline constexpr size_t kNameBytesMax = 255;
// What descriptors without a valid name are called.
inline constexpr const char* kDefaultName = "stored";

struct NotifyMessage {
  bool ready = false;
  bool stopping = false;
  bool watchdog = false;
  bool watchdog_trigger = false;
  bool store = false;
  bool store_remove = false;
  bool poll = true;
  bool barrier = false;
  bool name_invalid = false;
  std::optional<std::string> name;
  std::optional<std::string> status;
  std::optional<uint64_t> watchdog_usec;
};

// Nothing when the datagram is no message at all: empty, too long, or with a NUL before its end.
std::optional<NotifyMessage> parse_notify_message(std::string_view text);

// Printable ASCII without ':', which separates names in LISTEN_FDNAMES.
bool is_valid_name(std::string_view name);

}  // namespace galleonfs::supervisor
