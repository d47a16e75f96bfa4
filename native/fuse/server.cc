#include "server.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "mount.h"
#include "mount_table.h"
#include "service_pool.h"

namespace galleonfs::fuse {
namespace {

constexpr int kInitTimeoutMs = 5000;
constexpr int kEndTimeoutMs = 5000;

}  // namespace

struct Server::State {
  ServerOptions options;
  mutable std::mutex mutex;
  std::condition_variable ended;
  std::vector<std::shared_ptr<Session>> sessions;  // under mutex
  bool stopped = false;                            // under mutex
  int start_error = 0;
  std::unique_ptr<ServicePool> pool;
};

Server::Server(ServerOptions options) : state_(std::make_unique<State>()) {
  state_->options = std::move(options);
  PoolOptions pool;
  pool.threads_max = state_->options.threads_max;
  pool.clones_max = state_->options.clones_max;
  pool.on_ended = [this](Session& session) { forget(session); };
  pool.on_clone = state_->options.on_clone;
  state_->pool = std::make_unique<ServicePool>(std::move(pool));
  state_->start_error = state_->pool->start();
}

Server::~Server() { stop(StopMode::unmount); }

void Server::forget(Session& session) {
  if (state_->options.on_session_ended) state_->options.on_session_ended(session);
  std::lock_guard lock(state_->mutex);
  std::erase_if(state_->sessions, [&](const auto& s) { return s.get() == &session; });
  state_->ended.notify_all();
}

std::shared_ptr<Session> Server::serve(BlockDevice& device, MountOptions options, std::string device_id,
                                       const std::vector<int>& descriptors, const Negotiated* negotiated, Error& error) {
  auto session = std::make_shared<Session>(device, std::move(options), std::move(device_id), descriptors, negotiated);
  std::lock_guard lock(state_->mutex);
  if (state_->stopped) {
    error = {ESHUTDOWN, "FUSE_STOPPED", "The server is stopping; nothing can be mounted any more."};
    return nullptr;
  }
  int failed = state_->start_error ? state_->start_error : state_->pool->add(session);
  if (failed) {
    error = {failed, "FUSE_RESOURCES", std::string("No thread or descriptor to serve the mount: ") + strerror(failed) + "."};
    return nullptr;
  }
  state_->sessions.push_back(session);
  return session;
}

std::shared_ptr<Session> Server::mount(BlockDevice& device, MountOptions options, Error& error) {
  Mounted mounted;
  error = mount_connection(options, mounted);
  if (error) return nullptr;
  options.mount_point = mounted.mount_point;
  auto session = serve(device, std::move(options), mounted.device, {mounted.fd}, nullptr, error);
  if (session) {
    int failed = session->wait_initialized(kInitTimeoutMs);
    if (failed == 0) return session;
    error = {failed, "FUSE_MOUNT_FAILED",
             failed == EPROTO ? "The kernel's FUSE protocol is too old; Linux 5.10 or later is needed."
                              : std::string("The kernel did not complete the mount at '") + mounted.mount_point + "': " + strerror(failed) + "."};
  }
  unmount_connection(mounted.mount_point, mounted.device, true);
  return nullptr;
}

std::shared_ptr<Session> Server::adopt(BlockDevice& device, MountOptions options, const std::vector<int>& descriptors,
                                       const Negotiated& negotiated, Error& error) {
  error = {};
  if (descriptors.empty()) {
    error = {EINVAL, "FUSE_MOUNT_FAILED", "No descriptor of the mount was handed over."};
    return nullptr;
  }
  auto there = find_mount(options.mount_point);
  return serve(device, std::move(options), there ? there->device : "", descriptors, &negotiated, error);
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
    for (auto& session : state_->sessions) session->end_unserved();
  }
  state_->sessions.clear();
}

std::vector<std::shared_ptr<Session>> Server::sessions() const {
  std::lock_guard lock(state_->mutex);
  return state_->sessions;
}

size_t Server::thread_count() const { return state_->pool->thread_count(); }

}  // namespace galleonfs::fuse
