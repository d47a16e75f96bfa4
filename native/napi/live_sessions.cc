#include "live_sessions.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <mutex>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <utility>

#include "process_parts.h"

namespace galleonfs::node {
namespace {

struct Kept {
  std::shared_ptr<fuse::Session> session;
  std::shared_ptr<store::Store> store;
  std::function<void()> ended;  // empty: not watched
};

constexpr std::chrono::milliseconds kServedPoll{5};

std::mutex mutex;

// Under mutex. Never destroyed: service threads may still run at exit(3).
auto& kept_sessions() {
  static auto& all = *new std::unordered_map<const fuse::Session*, Kept>;
  return all;
}

// Called by the server when no thread of its uses the session any more. The store's last reference may go here: outside
// the lock.
void session_ended(const fuse::Session& session) {
  Kept gone;
  std::lock_guard lock(mutex);
  auto found = kept_sessions().find(&session);
  if (found == kept_sessions().end()) return;  // ended before it was kept: keep() sees to that
  gone = std::move(found->second);
  kept_sessions().erase(found);
  if (gone.ended) gone.ended();
}

bool is_served(const std::shared_ptr<fuse::Session>& session) {
  auto served = fuse_server().sessions();
  return std::find(served.begin(), served.end(), session) != served.end();
}

// From now on `store` lives until the session has ended. Null, with `error`, when it has ended already.
std::shared_ptr<fuse::Session> keep(std::shared_ptr<fuse::Session> session, std::shared_ptr<store::Store> store, fuse::Error& error) {
  {
    std::lock_guard lock(mutex);
    kept_sessions()[session.get()] = {session, std::move(store), nullptr};
  }
  // A session is marked as ended before session_ended(): if it is not marked now, that will find it here.
  if (!session->ended()) return session;
  while (is_served(session)) std::this_thread::sleep_for(kServedPoll);
  session_ended(*session);
  error = {ENODEV, "FUSE_MOUNT_FAILED", "The mount at '" + session->mount_point() + "' was taken away at once by someone else."};
  return nullptr;
}

fuse::Server* make_server() {
  fuse::ServerOptions options;
  if (settings().fuse_threads_max > 0) options.threads_max = settings().fuse_threads_max;
  options.store = &descriptor_store();
  options.on_session_ended = session_ended;
  return new fuse::Server(options);
}

}  // namespace

fuse::Server& fuse_server() {
  static fuse::Server* server = make_server();
  return *server;
}

std::shared_ptr<fuse::Session> mount_store(std::shared_ptr<store::Store> store, const fuse::MountOptions& options,
                                           fuse::Error& error) {
  auto session = fuse_server().mount(*store, options, error);
  if (session) return keep(std::move(session), std::move(store), error);
  // One that failed late may still be served for a moment, and nobody will say when that is over.
  if (std::string_view(error.code) == "FUSE_MOUNT_FAILED") new auto(std::move(store));
  return nullptr;
}

std::shared_ptr<fuse::Session> adopt_store(std::shared_ptr<store::Store> store, const fuse::MountOptions& options,
                                           fuse::InheritedMount mount, fuse::Error& error) {
  auto session = fuse_server().adopt(*store, options, std::move(mount), error);
  return session ? keep(std::move(session), std::move(store), error) : nullptr;
}

void release_sessions() {
  fuse_server().stop(fuse::StopMode::keep_mounted);
  std::unordered_map<const fuse::Session*, Kept> gone;  // stores may go with it: outside the lock
  std::lock_guard lock(mutex);
  gone.swap(kept_sessions());
}

void watch_session(const fuse::Session& session, std::function<void()> ended) {
  std::lock_guard lock(mutex);
  auto found = kept_sessions().find(&session);
  if (found == kept_sessions().end()) {
    ended();
  } else {
    found->second.ended = std::move(ended);
  }
}

void mute_session(const fuse::Session& session) {
  std::lock_guard lock(mutex);
  auto found = kept_sessions().find(&session);
  if (found != kept_sessions().end()) found->second.ended = nullptr;
}

}  // namespace galleonfs::node
