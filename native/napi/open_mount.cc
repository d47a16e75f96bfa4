#include "open_mount.h"

#include <cerrno>
#include <utility>

#include "environment.h"
#include "live_sessions.h"

namespace galleonfs::node {
namespace {

using Handle = std::shared_ptr<OpenMount>;
constexpr napi_type_tag kTag = {0x9a11e0f55707e002, 0x51c7d2e8b90f3a46};

}  // namespace

Napi::Value OpenMount::to_handle(Napi::Env env, std::shared_ptr<OpenMount> mount) {
  auto handle = Napi::External<Handle>::New(env, new Handle(std::move(mount)), [](Napi::Env, Handle* held) { delete held; });
  handle.TypeTag(&kTag);
  return handle;
}

std::shared_ptr<OpenMount> OpenMount::from_handle(Napi::Value value) {
  if (!value.IsExternal() || !value.As<Napi::External<Handle>>().CheckTypeTag(&kTag)) {
    throw Napi::TypeError::New(value.Env(), "mount must be a handle of mountStart()");
  }
  return *value.As<Napi::External<Handle>>().Data();
}

void OpenMount::start(Napi::Env env, Napi::Function lost) {
  lost_ = Napi::ThreadSafeFunction::New(env, lost, "galleonfs mount", 0, 1);
  Environment::of(env).add(shared_from_this());
  auto tell = [self = shared_from_this()](Napi::Env env, Napi::Function lost) {
    if (self->finished_ || self->stopping_ > 0) return;
    self->finish(env);
    lost.Call({});
  };
  // Runs on a service thread and touches nothing of this but lost_, which mute_session() protects.
  watch_session(*session_, [self = shared_from_this(), tell] { self->lost_.NonBlockingCall(tell); });
}

Napi::Promise OpenMount::stop(Napi::Env env, bool lazy) {
  if (released_) return rejected(env, {ESHUTDOWN, "FUSE_STOPPED", "the mount was left to another process"});
  stopping_++;
  auto self = shared_from_this();
  return Work::start(env, {.run = [session = session_, lazy]() -> Failure {
                             fuse::Error error = fuse_server().unmount(session, lazy);
                             return {error.errno_value, error.code, error.detail};
                           },
                           .settle =
                               [self](Napi::Env env) {
                                 self->finish(env);
                                 return env.Undefined();
                               },
                           .finally = [self] { self->stopping_--; }});
}

void OpenMount::finish(Napi::Env env) {
  if (std::exchange(finished_, true)) return;
  mute_session(*session_);
  lost_.Release();
  store_->end_mount();
  Environment::of(env).remove(shared_from_this());
}

void OpenMount::release(Napi::Env env) {
  released_ = true;
  finish(env);
}

// lost_ goes with the environment, whose end Node.js tells it.
void OpenMount::stop_now() {
  mute_session(*session_);
  if (fuse_server().unmount(session_, false)) fuse_server().unmount(session_, true);
}

}  // namespace galleonfs::node
