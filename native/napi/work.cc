#include "work.h"

#include <utility>

namespace galleonfs::node {

Napi::Error to_error(Napi::Env env, const Failure& failure) {
  Napi::Error error = Napi::Error::New(env, failure.detail);
  error.Set("code", Napi::String::New(env, failure.code));
  error.Set("errno", Napi::Number::New(env, failure.error));
  return error;
}

Napi::Promise rejected(Napi::Env env, const Failure& failure) {
  auto deferred = Napi::Promise::Deferred::New(env);
  deferred.Reject(to_error(env, failure).Value());
  return deferred.Promise();
}

Napi::Promise Work::start(Napi::Env env, Parts parts) {
  auto deferred = Napi::Promise::Deferred::New(env);
  start(deferred, std::move(parts));
  return deferred.Promise();
}

void Work::start(Napi::Promise::Deferred deferred, Parts parts) {
  (new Work(deferred, std::move(parts)))->Queue();  // deletes itself after settling
}

Work::Work(Napi::Promise::Deferred deferred, Parts parts)
    : Napi::AsyncWorker(deferred.Env(), "galleonfs"), deferred_(deferred), parts_(std::move(parts)) {
  if (!parts_.borrowed.IsEmpty()) borrowed_ = Napi::Persistent(parts_.borrowed);
  parts_.borrowed = {};
}

void Work::Execute() {
  failure_ = parts_.run();
  if (failure_) SetError(failure_.detail);
}

void Work::OnOK() {
  Napi::Env env = Env();
  Napi::Value value = parts_.settle ? parts_.settle(env) : env.Undefined();
  if (parts_.finally) parts_.finally();
  deferred_.Resolve(value);
}

// Execute() failed, or threw (std::bad_alloc): then `error` is all there is.
void Work::OnError(const Napi::Error& error) {
  if (parts_.finally) parts_.finally();
  if (!failure_) failure_ = {ENOMEM, "INTERNAL", error.Message()};
  deferred_.Reject(to_error(Env(), failure_).Value());
}

}  // namespace galleonfs::node
