// The FUSE front end of the daemon: mounts volumes and serves them. The only header others need.
#pragma once
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "block_device.h"
#include "options.h"
#include "session.h"

namespace galleonfs::fuse {

struct ServerOptions {
  size_t threads_max = 16;  // all volumes together; each has 2 MiB of resident buffers
  size_t clones_max = 2;    // further /dev/fuse descriptors of a busy volume

  // The connection ended: unmounted, by us or by anyone, or aborted. Once a session, on a service thread, with no lock
  // held; must not call the server. The session does not touch its device again.
  std::function<void(Session&)> on_session_ended;
  // A descriptor was added to a session and has not been read yet (to deposit it first). Same rules.
  std::function<void(Session&, int fd)> on_clone;
};

// What to do with mounts when the server stops.
enum class StopMode {
  unmount,       // unmount; a busy mount is detached lazily and its connection ended
  keep_mounted,  // stop serving; descriptors stay open until the sessions are destroyed, so another process may go on
};

// Any method may be called from any thread, except from the callbacks above. They block; none runs on a service thread.
class Server {
 public:
  explicit Server(ServerOptions options = {});
  ~Server();  // stop(StopMode::unmount)
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Mounts and waits until the kernel and we agreed (INIT). `device` must live until the session has ended and, after
  // stop(), until it returned. Null on failure, with `error`; codes: options.h.
  std::shared_ptr<Session> mount(BlockDevice& device, MountOptions options, Error& error);

  // Serves a mount another process mounted: descriptors (connection first, then clones) and what that process's
  // session's negotiated() said. Takes the descriptors, also on failure.
  std::shared_ptr<Session> adopt(BlockDevice& device, MountOptions options, const std::vector<int>& descriptors,
                                 const Negotiated& negotiated, Error& error);

  // Returns when the connection has ended, or, lazily, when the mount is detached (it ends with the last open file).
  Error unmount(const std::shared_ptr<Session>& session, bool lazy);

  // Requests being served are finished first. Later calls do nothing.
  void stop(StopMode mode);

  std::vector<std::shared_ptr<Session>> sessions() const;
  size_t thread_count() const;

 private:
  std::shared_ptr<Session> serve(BlockDevice& device, MountOptions options, std::string device_id,
                                 const std::vector<int>& descriptors, const Negotiated* negotiated, Error& error);
  void forget(Session& session);

  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace galleonfs::fuse
