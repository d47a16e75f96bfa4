// One asynchronous call: runs on a libuv worker, settles a promise on the JavaScript thread.
//
// Threads. `run` is called once, on a worker; it sees no Napi value and no env, only plain C++ captured by value or by
// shared_ptr. `settle` and everything else happen on the JavaScript thread. The argument `borrowed` (a buffer whose memory
// `run` uses) is referenced until the promise settles, so the garbage collector leaves it alone.
#pragma once
#include <napi.h>

#include <functional>

#include "../store/store.h"

namespace galleonfs::node {

using store::Failure;

class Work : public Napi::AsyncWorker {
 public:
  using Run = std::function<Failure()>;                 // on a worker
  using Settle = std::function<Napi::Value(Napi::Env)>;  // on the JavaScript thread, when run() succeeded
  using Finally = std::function<void()>;                // on the JavaScript thread, before the promise settles

  struct Parts {
    Run run;
    Settle settle = nullptr;  // none: resolves to undefined
    Finally finally = nullptr;
    Napi::Value borrowed = {};
  };

  static Napi::Promise start(Napi::Env env, Parts parts);
  // The same for a promise that was promised before.
  static void start(Napi::Promise::Deferred deferred, Parts parts);

 protected:
  void Execute() override;
  void OnOK() override;
  void OnError(const Napi::Error& error) override;

 private:
  Work(Napi::Promise::Deferred deferred, Parts parts);

  Napi::Promise::Deferred deferred_;
  Parts parts_;
  Napi::Reference<Napi::Value> borrowed_;
  Failure failure_;
};

// What the promise is rejected with: an Error with the message `detail`, and `code` and `errno`.
Napi::Error to_error(Napi::Env env, const Failure& failure);
Napi::Promise rejected(Napi::Env env, const Failure& failure);

}  // namespace galleonfs::node
