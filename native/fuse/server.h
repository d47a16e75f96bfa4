// The FUSE front end of the daemon: mounts volumes and serves them. The only header others need.
#pragma once
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "block_device.h"
#include "descriptor_store.h"
#include "inherited_slots.h"
#include "options.h"
#include "session.h"

namespace galleonfs::fuse {

struct ServerOptions {
  size_t threads_max = 16;  // all volumes together; each has 2 MiB of resident buffers
  size_t clones_max = 2;    // further /dev/fuse descriptors of a busy volume

  // Where the descriptors of mounts with a key, and the request slots, are deposited. Null: nowhere. Outlives the server.
  DescriptorStore* store = nullptr;

  // The connection ended: unmounted, by us or by anyone, or aborted. Once a session, on a service thread, with no lock
  // held; must not call the server. The session does not touch its device again.
  std::function<void(Session&)> on_session_ended;
};

// A mount another process mounted and served, which is gone or will not read from it again.
struct InheritedMount {
  std::vector<IndexedDescriptor> descriptors;  // index 0 among them
  Negotiated negotiated;
  std::span<InheritedSlots> slots;  // of all processes before this one that are not known to have left nothing
};

// What to do with mounts when the server stops.
enum class StopMode {
  unmount,       // unmount; a busy mount is detached lazily and its connection ended
  keep_mounted,  // stop serving; mounts and deposits stay, and descriptors until the sessions are destroyed, so that
                 // another process may go on
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

  // Answers what was in flight, then serves. Takes the descriptors, also on failure. One call at a time runs.
  std::shared_ptr<Session> adopt(BlockDevice& device, MountOptions options, InheritedMount mount, Error& error);

  // Returns when the connection has ended, or, lazily, when the mount is detached (it ends with the last open file).
  Error unmount(const std::shared_ptr<Session>& session, bool lazy);

  // Requests being served are finished first. Later calls do nothing.
  void stop(StopMode mode);

  std::vector<std::shared_ptr<Session>> sessions() const;
  size_t thread_count() const;

 private:
  Error serve(const std::shared_ptr<Session>& session);
  void forget(Session& session);

  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace galleonfs::fuse
