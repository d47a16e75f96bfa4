#include "descriptor_store.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdio>
#include <cstring>

namespace galleonfs::fuse {
namespace {

constexpr std::string_view kConnectionPrefix = "mount-";
constexpr std::string_view kSlotsPrefix = "slots-";
constexpr size_t kKeyDigits = 16;
constexpr size_t kNameMax = 255;

int64_t now_ms() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000 + t.tv_nsec / 1'000'000;
}

std::string key_text(uint64_t key) {
  char digits[kKeyDigits + 1];
  snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(key));
  return digits;
}

}  // namespace

DescriptorStore::DescriptorStore(std::string_view address) {
  if (address.size() < 2 || address.size() >= sizeof address_.sun_path || (address[0] != '/' && address[0] != '@')) return;
  address_.sun_family = AF_UNIX;
  memcpy(address_.sun_path, address.data(), address.size());
  if (address[0] == '@') address_.sun_path[0] = '\0';
  // An abstract name has no terminator.
  size_t terminator = address[0] == '@' ? 0 : 1;
  address_length_ = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address.size() + terminator);
  socket_ = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (socket_ < 0) return;
  timeval limit{kTimeLimitMs / 1000, (kTimeLimitMs % 1000) * 1000};
  setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

DescriptorStore::~DescriptorStore() {
  if (socket_ >= 0) close(socket_);
}

int DescriptorStore::send(std::string_view text, int fd) noexcept {
  if (socket_ < 0) return ENOTCONN;
  iovec data{const_cast<char*>(text.data()), text.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_name = &address_;
  message.msg_namelen = address_length_;
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  if (fd >= 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
  }
  for (;;) {
    if (sendmsg(socket_, &message, MSG_NOSIGNAL) >= 0) return 0;
    if (errno == EINTR) continue;
    return errno == EAGAIN ? ETIMEDOUT : errno;
  }
}

int DescriptorStore::barrier() noexcept {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return errno;
  int error = send("BARRIER=1", ends[1]);
  close(ends[1]);
  const int64_t deadline = now_ms() + kTimeLimitMs;
  while (error == 0) {
    pollfd wait{ends[0], 0, 0};
    int64_t left = deadline - now_ms();
    int n = poll(&wait, 1, left > 0 ? static_cast<int>(left) : 0);
    if (n > 0) break;  // hung up: nobody holds the other end any more
    if (n == 0) error = ETIMEDOUT;
    else if (errno != EINTR) error = errno;
  }
  close(ends[0]);
  return error;
}

int DescriptorStore::deposit(const std::string& name, int fd) noexcept {
  if (!is_descriptor_name(name)) return EINVAL;
  char text[kNameMax + 32];
  int length = snprintf(text, sizeof text, "FDSTORE=1\nFDNAME=%s", name.c_str());
  if (int error = send({text, static_cast<size_t>(length)}, fd)) return error;
  return barrier();
}

int DescriptorStore::remove(const std::string& name) noexcept {
  if (!present()) return 0;
  if (!is_descriptor_name(name)) return EINVAL;
  char text[kNameMax + 32];
  int length = snprintf(text, sizeof text, "FDSTOREREMOVE=1\nFDNAME=%s", name.c_str());
  return send({text, static_cast<size_t>(length)}, -1);
}

int DescriptorStore::notify(std::string_view text) noexcept { return send(text, -1); }

bool is_descriptor_name(std::string_view name) noexcept {
  if (name.empty() || name.size() > kNameMax) return false;
  for (char c : name) {
    if (c < ' ' || c > '~' || c == ':') return false;
  }
  return true;
}

std::string connection_name(uint64_t key, uint32_t index) {
  return std::string(kConnectionPrefix) + key_text(key) + "-" + std::to_string(index);
}

std::string slots_name(uint64_t id) { return std::string(kSlotsPrefix) + key_text(id); }

std::optional<uint64_t> parse_key(std::string_view digits) noexcept {
  if (digits.size() != kKeyDigits) return std::nullopt;
  uint64_t key = 0;
  for (char c : digits) {
    int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (digit < 0) return std::nullopt;
    key = key << 4 | static_cast<uint64_t>(digit);
  }
  if (key == 0) return std::nullopt;
  return key;
}

std::optional<ConnectionName> parse_connection_name(std::string_view name) noexcept {
  if (!name.starts_with(kConnectionPrefix)) return std::nullopt;
  name.remove_prefix(kConnectionPrefix.size());
  if (name.size() < kKeyDigits + 2 || name[kKeyDigits] != '-') return std::nullopt;
  auto key = parse_key(name.substr(0, kKeyDigits));
  std::string_view digits = name.substr(kKeyDigits + 1);
  uint32_t index = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), index);
  if (!key || error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return ConnectionName{*key, index};
}

bool is_slots_name(std::string_view name) noexcept {
  return name.starts_with(kSlotsPrefix) && parse_key(name.substr(kSlotsPrefix.size())).has_value();
}

}  // namespace galleonfs::fuse
