// A mount as JavaScript holds it.
//
// Invariants. All members belong to the JavaScript thread. From start to finish() the mount counts as one of its store's,
// and is kept in its environment's list. It finishes once: when stop() succeeded, when it was released,
// or when its session ended by itself.
// A mount that is served keeps the event loop running, as a listening socket does.
#pragma once
#include <napi.h>

#include <memory>

#include "../fuse/session.h"
#include "open_store.h"

namespace galleonfs::node {

class OpenMount : public std::enable_shared_from_this<OpenMount> {
 public:
  OpenMount(std::shared_ptr<OpenStore> store, std::shared_ptr<fuse::Session> session)
      : store_(std::move(store)), session_(std::move(session)) {}

  static Napi::Value to_handle(Napi::Env env, std::shared_ptr<OpenMount> mount);
  static std::shared_ptr<OpenMount> from_handle(Napi::Value value);

  // Takes over the count that begin_mount() made. `lost` is called if the session ends by itself.
  void start(Napi::Env env, Napi::Function lost);
  Napi::Promise stop(Napi::Env env, bool lazy);
  // It is served no more and stays mounted, for another process.
  void release(Napi::Env env);
  // At the end of the environment. Blocks; what is busy is detached lazily.
  void stop_now();

  fuse::Session& session() const { return *session_; }

 private:
  void finish(Napi::Env env);

  std::shared_ptr<OpenStore> store_;
  std::shared_ptr<fuse::Session> session_;
  Napi::ThreadSafeFunction lost_;  // released by finish()
  bool finished_ = false;
  bool released_ = false;
  size_t stopping_ = 0;  // stop() calls under way: they finish it, and nobody is told
};

}  // namespace galleonfs::node
