// The text of notifications, the supervisor's command line, and its log lines. Nothing is started.
#include "check.h"
#include "supervisor/event_log.h"
#include "supervisor/notify_message.h"
#include "supervisor/options.h"

#include <string>
#include <variant>

using namespace galleonfs::supervisor;

namespace {

NotifyMessage parsed(const std::string& text) {
  const auto message = parse_notify_message(text);
  CHECK(message.has_value());
  return *message;
}

Options options(const std::vector<std::string>& arguments) {
  const auto result = parse_options(arguments);
  CHECK(std::holds_alternative<Options>(result));
  return std::get<Options>(result);
}

bool refused(const std::vector<std::string>& arguments) {
  const auto result = parse_options(arguments);
  return std::holds_alternative<std::string>(result) && !std::get<std::string>(result).empty();
}

}  // namespace

TEST("every field of the protocol is read, in any order") {
  const NotifyMessage m = parsed("FDNAME=fuse/db/0\nFDSTORE=1\nREADY=1\nSTOPPING=1\nSTATUS=x=y z\nWATCHDOG=1\nFDPOLL=0\nWATCHDOG_USEC=5000");
  CHECK(m.store && m.ready && m.stopping && m.watchdog && !m.poll);
  CHECK(!m.store_remove && !m.barrier && !m.watchdog_trigger && !m.name_invalid);
  CHECK_EQ(*m.name, std::string("fuse/db/0"));
  CHECK_EQ(*m.status, std::string("x=y z"));
  CHECK_EQ(*m.watchdog_usec, 5000u);
}

TEST("unknown fields and other values mean nothing") {
  const NotifyMessage m = parsed("MAINPID=1\nREADY=0\nREADY=10\nready=1\nX\n=\n\nFDSTORE\nFDSTORE=2\nFDPOLL=1\nBARRIER=\nWATCHDOG_USEC=-1");
  CHECK(!m.ready && !m.store && m.poll && !m.barrier && !m.name && !m.watchdog_usec);
}

TEST("of a field given twice the first counts") {
  const NotifyMessage m = parsed("FDNAME=a\nFDNAME=b\nSTATUS=1\nSTATUS=2");
  CHECK_EQ(*m.name, std::string("a"));
  CHECK_EQ(*m.status, std::string("1"));
  CHECK(!parsed("FDNAME=:\nFDNAME=b").name.has_value());
}

TEST("an empty datagram, one with a NUL inside, and one too long are no messages") {
  CHECK(!parse_notify_message(""));
  CHECK(!parse_notify_message(std::string("\0", 1)));
  CHECK(!parse_notify_message(std::string("READY=1\0X", 9)));
  CHECK(!parse_notify_message(std::string(kMessageBytesMax + 1, 'x')));
  CHECK(parse_notify_message(std::string(kMessageBytesMax, 'x')).has_value());
}

TEST("a NUL at the very end is a C string's") { CHECK(parsed(std::string("READY=1\0", 8)).ready); }

TEST("names are printable ASCII without a colon, up to 255 bytes") {
  CHECK(is_valid_name("") && is_valid_name("fuse 1") && is_valid_name(std::string(255, 'n')));
  CHECK(!is_valid_name("a:b") && !is_valid_name("a\tb") && !is_valid_name("\x7f") && !is_valid_name("\xc3\xa4"));
  CHECK(!is_valid_name(std::string(256, 'n')));
  CHECK(parsed("FDSTORE=1\nFDNAME=a:b").name_invalid);
}

TEST("the command begins at the first word that is no option, or after --") {
  CHECK_EQ(options({"a", "--watchdog-ms", "1"}).command.size(), 3u);
  const Options all = options({"--watchdog-ms", "30000", "--failures-max", "3", "--descriptors-max", "7", "--log-level",
                               "fatal", "--", "--x", "y"});
  CHECK_EQ(all.watchdog_ms, 30000u);
  CHECK_EQ(all.failures_max, 3u);
  CHECK_EQ(all.descriptors_max, 7u);
  CHECK_EQ(all.log_level, Level::error);
  CHECK_EQ(all.command.front(), std::string("--x"));
}

TEST("wrong options are refused") {
  CHECK(refused({}) && refused({"--"}) && refused({"--fast", "1", "a"}) && refused({"--failures-max"}));
  CHECK(refused({"--failures-max", "0", "a"}) && refused({"--watchdog-ms", "1x", "a"}));
  CHECK(refused({"--log-level", "loud", "a"}) && refused({"--watchdog-ms", "99999999999999999999", "a"}));
}

TEST("a log line is JSON with pino's members, whatever bytes are in it") {
  const std::string line = json_line(Level::warn, "2026-11-20T12:00:05.001Z", "it \"says\" \n\xc3\\", {{"pid", 7}, {"name", "a"}});
  CHECK_EQ(line, std::string("{\"level\":\"warn\",\"time\":\"2026-11-20T12:00:05.001Z\",\"pid\":7,\"name\":\"a\","
                             "\"msg\":\"it \\\"says\\\" \\u000a\\u00c3\\\\\"}\n"));
}

TEST("a readable line shows the fields of problems only") {
  const char* time = "2026-11-20T12:00:05.001Z";
  CHECK_EQ(readable_line(Level::info, time, "up", {{"pid", 7}}), std::string("12:00:05 INFO  up\n"));
  CHECK_EQ(readable_line(Level::error, time, "down", {{"pid", 7}}), std::string("12:00:05 ERROR down {\"pid\":7}\n"));
}

CHECK_MAIN()
