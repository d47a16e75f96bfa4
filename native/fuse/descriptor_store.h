// The descriptor store: a process that outlives the daemon (systemd, or the supervisor) and keeps copies of the mounts'
// descriptors, so that they stay connected while no daemon runs. Spoken to with the sd_notify protocol: datagrams on the
// unix socket that NOTIFY_SOCKET names.
//
//   deposit   "FDSTORE=1\nFDNAME=<name>" with the descriptor, then "BARRIER=1" with the end of a pipe, which the store
//             closes when it has handled all that came before. So a deposit that returned 0 was handled; it may still have
//             been dropped if the store is full (systemd: FileDescriptorStoreMax=), of which it tells nobody.
//   remove    "FDSTOREREMOVE=1\nFDNAME=<name>". Handled after every message sent before it.
//
// Polling by the store stays enabled (no FDPOLL=0): a connection that ends without us goes from the store by itself.
// Names: mount-<key, 16 hex digits>-<index> (index 0 the connection, others its clones) and slots-<16 hex digits>.
#pragma once
#include <sys/socket.h>
#include <sys/un.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace galleonfs::fuse {

// Any method may be called from any thread; each blocks for at most the time limit.
class DescriptorStore {
 public:
  static constexpr int kTimeLimitMs = 5000;

  // `address`: a path, '@' and an abstract name, or empty: no store.
  explicit DescriptorStore(std::string_view address);
  ~DescriptorStore();
  DescriptorStore(const DescriptorStore&) = delete;
  DescriptorStore& operator=(const DescriptorStore&) = delete;

  // False: there is no store. Then deposit() and notify() fail with ENOTCONN and remove() does nothing.
  bool present() const noexcept { return socket_ >= 0; }

  // Returns 0 once the store has handled it, else a positive errno: ETIMEDOUT, EINVAL (a name no store accepts), or why it
  // could not be sent. After an error the store may hold it or not: remove() it. `fd` stays the caller's.
  int deposit(const std::string& name, int fd) noexcept;
  int remove(const std::string& name) noexcept;

  // "READY=1", "STATUS=...", "WATCHDOG=1", "STOPPING=1", or several of them, a line each. 0 or an errno.
  int notify(std::string_view text) noexcept;

 private:
  int send(std::string_view text, int fd) noexcept;
  int barrier() noexcept;

  int socket_ = -1;
  sockaddr_un address_{};
  socklen_t address_length_ = 0;
};

// Valid for systemd: 1 to 255 printable ASCII characters without ':'.
bool is_descriptor_name(std::string_view name) noexcept;

std::string connection_name(uint64_t key, uint32_t index);
std::string slots_name(uint64_t id);

struct ConnectionName {
  uint64_t key;
  uint32_t index;
};
std::optional<ConnectionName> parse_connection_name(std::string_view name) noexcept;
bool is_slots_name(std::string_view name) noexcept;

// 16 lower-case hex digits; a key is never 0.
std::optional<uint64_t> parse_key(std::string_view digits) noexcept;

}  // namespace galleonfs::fuse
