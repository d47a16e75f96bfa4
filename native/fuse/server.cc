#include "server.h"

#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "in_flight.h"
#include "mount.h"
#include "mount_table.h"
#include "service_pool.h"

namespace galleonfs::fuse {
namespace {

constexpr int kInitTimeoutMs = 5000;
constexpr int kEndTimeoutMs = 5000;

// Before the first of them is read into.
int deposit_slots(DescriptorStore* store, int fd) {
  if (store == nullptr || !store->present()) return 0;
  uint64_t id = 0;
  while (id == 0) {
    if (getrandom(&id, sizeof id, 0) != sizeof id) return errno;
  }
  return store->deposit(slots_name(id), fd);
}

}  // namespace

struct Server::State {
  explicit State(ServerOptions wanted) : options(std::move(wanted)), slots(std::max<size_t>(options.threads_max, 4) + 1) {}

  ServerOptions options;
  RequestSlots slots;  // one for each thread, and one for adopting
  std::mutex adopting;
  mutable std::mutex mutex;
  std::condition_variable ended;
  std::vector<std::shared_ptr<Session>> sessions;  // under mutex
  bool stopped = false;                            // under mutex
  int start_error = 0;
  std::unique_ptr<ServicePool> pool;
};

Server::Server(ServerOptions options) : state_(std::make_unique<State>(std::move(options))) {
  PoolOptions pool;
  pool.threads_max = state_->options.threads_max;
  pool.clones_max = state_->options.clones_max;
  pool.on_ended = [this](Session& session) { forget(session); };
  state_->pool = std::make_unique<ServicePool>(std::move(pool), state_->slots);
  state_->start_error = state_->slots.error();
  if (state_->start_error == 0) state_->start_error = deposit_slots(state_->options.store, state_->slots.fd());
  if (state_->start_error == 0) state_->start_error = state_->pool->start();
}

Server::~Server() { stop(StopMode::unmount); }

void Server::forget(Session& session) {
  session.withdraw();
  if (state_->options.on_session_ended) state_->options.on_session_ended(session);
  std::lock_guard lock(state_->mutex);
  std::erase_if(state_->sessions, [&](const auto& s) { return s.get() == &session; });
  state_->ended.notify_all();
}

Error Server::serve(const std::shared_ptr<Session>& session) {
  std::lock_guard lock(state_->mutex);
  if (state_->stopped) return {ESHUTDOWN, "FUSE_STOPPED", "The server is stopping; nothing can be mounted any more."};
  int failed = state_->start_error ? state_->start_error : state_->pool->add(session);
  if (failed) {
    return {failed, "FUSE_RESOURCES", std::string("No thread, memory or descriptor to serve the mount: ") + strerror(failed) + "."};
  }
  state_->sessions.push_back(session);
  return {};
}

std::shared_ptr<Session> Server::mount(BlockDevice& device, MountOptions options, Error& error) {
  Mounted mounted;
  error = mount_connection(options, mounted);
  if (error) return nullptr;
  options.mount_point = mounted.mount_point;
  const std::vector<IndexedDescriptor> connection{{0, mounted.fd}};
  auto session = std::make_shared<Session>(device, std::move(options), mounted.device, connection, nullptr, state_->options.store);
  error = serve(session);
  if (!error) {
    if (int failed = session->wait_initialized(kInitTimeoutMs)) {
      error = {failed, "FUSE_MOUNT_FAILED",
               failed == EPROTO ? "The kernel's FUSE protocol is too old; Linux 5.10 or later is needed."
                                : "The kernel did not complete the mount at '" + mounted.mount_point + "': " + strerror(failed) + "."};
    } else if ((failed = session->deposit_connection()) != 0) {
      error = {failed, "FUSE_MOUNT_FAILED",
               "The descriptor store did not take the mount at '" + mounted.mount_point + "' (" + strerror(failed) +
                   "), so it would not outlive the daemon; see whether the supervisor is well."};
    }
  }
  if (!error) return session;
  unmount_connection(mounted.mount_point, mounted.device, true);
  return nullptr;
}

std::shared_ptr<Session> Server::adopt(BlockDevice& device, MountOptions options, InheritedMount mount, Error& error) {
  error = {};
  std::sort(mount.descriptors.begin(), mount.descriptors.end(), [](auto& a, auto& b) { return a.index < b.index; });
  if (mount.descriptors.empty() || mount.descriptors.front().index != 0) {
    for (const IndexedDescriptor& descriptor : mount.descriptors) close(descriptor.fd);
    error = {EINVAL, "FUSE_MOUNT_FAILED", "The connection of the mount at '" + options.mount_point + "' was not handed over."};
    return nullptr;
  }
  // The kernel goes on sending requests of the size that was settled, and ends those that a read has no room for.
  if (mount.negotiated.max_write_bytes > kTransferMax) {
    for (const IndexedDescriptor& descriptor : mount.descriptors) close(descriptor.fd);
    error = {EINVAL, "FUSE_MOUNT_FAILED",
             "The mount at '" + options.mount_point + "' has requests of up to " + std::to_string(mount.negotiated.max_write_bytes) +
                 " bytes, more than this version reads; go back to the version that mounted it."};
    return nullptr;
  }
  std::string device_id = options.device_id;
  auto session = std::make_shared<Session>(device, std::move(options), std::move(device_id), mount.descriptors, &mount.negotiated,
                                           state_->options.store);
  std::lock_guard one(state_->adopting);
  RequestBuffers buffers(state_->slots);
  if (!buffers.ok()) {
    error = {ENOMEM, "FUSE_RESOURCES", "No memory to take over the mount at '" + session->mount_point() + "'."};
    return nullptr;
  }
  InFlightRecovery(*session, buffers).run(mount.slots);
  error = serve(session);
  return error ? nullptr : session;
}

Error Server::unmount(const std::shared_ptr<Session>& session, bool lazy) {
  if (session->ended()) return {};
  if (Error error = unmount_connection(session->mount_point(), session->device_id(), lazy)) return error;
  if (lazy) return {};
  std::unique_lock lock(state_->mutex);
  state_->ended.wait_until(lock, std::chrono::system_clock::now() + std::chrono::milliseconds(kEndTimeoutMs), [&] {
    return std::find(state_->sessions.begin(), state_->sessions.end(), session) == state_->sessions.end();
  });
  return {};
}

void Server::stop(StopMode mode) {
  std::vector<std::shared_ptr<Session>> open;
  {
    std::lock_guard lock(state_->mutex);
    if (state_->stopped) return;
    state_->stopped = true;
    open = state_->sessions;
  }
  if (mode == StopMode::unmount) {
    for (auto& session : open) {
      if (unmount(session, false)) unmount(session, true);
    }
  }
  state_->pool->stop();
  std::lock_guard lock(state_->mutex);
  if (mode == StopMode::unmount) {
    // Nobody serves any more: closing ends what is still open below a detached mount with an error instead of a hang.
    for (auto& session : state_->sessions) {
      session->withdraw();
      session->end_unserved();
    }
  }
  state_->sessions.clear();
}

std::vector<std::shared_ptr<Session>> Server::sessions() const {
  std::lock_guard lock(state_->mutex);
  return state_->sessions;
}

size_t Server::thread_count() const { return state_->pool->thread_count(); }

}  // namespace galleonfs::fuse
