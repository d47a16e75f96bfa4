// The descriptor store's functions, as src/storage/native.ts declares them.
#include "descriptor_store_calls.h"

#include <string>

#include "arguments.h"
#include "environment.h"
#include "inherited_mounts.h"
#include "live_sessions.h"
#include "process_parts.h"
#include "work.h"

namespace galleonfs::node {
namespace {

Napi::Value inherited_descriptors(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto list = Napi::Array::New(env);
  for (const fuse::InheritedDescriptor& one : InheritedMounts::of_process().take()) {
    auto value = Napi::Object::New(env);
    value.Set("name", one.name);
    value.Set("fd", one.fd);
    list.Set(list.Length(), value);
  }
  return list;
}

void drop_inherited(const Napi::CallbackInfo& info) {
  std::string digits = to_string(info[0], "key");
  auto key = fuse::parse_key(digits);
  if (!key) throw Napi::TypeError::New(info.Env(), "key must be 16 hex digits: " + digits);
  InheritedMounts::of_process().drop(*key);
}

void adoption_finished(const Napi::CallbackInfo& info) {
  if (!InheritedMounts::of_process().finish()) throw Napi::Error::New(info.Env(), "a mount is still being adopted");
}

Napi::Value descriptor_store_kind(const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), descriptor_store().present() ? "socket" : "none");
}

Napi::Value notify(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), descriptor_store().notify(to_string(info[0], "text")) == 0);
}

Napi::Value release_mounts(const Napi::CallbackInfo& info) {
  return Work::start(info.Env(), {.run = []() -> Failure {
                                    release_sessions();
                                    return {};
                                  },
                                  .settle =
                                      [](Napi::Env env) {
                                        for (const auto& mount : Environment::of(env).mounts()) mount->release(env);
                                        return env.Undefined();
                                      }});
}

}  // namespace

void add_descriptor_store_calls(Napi::Env env, Napi::Object exports) {
  exports.Set("inheritedDescriptors", Napi::Function::New<inherited_descriptors>(env));
  exports.Set("dropInherited", Napi::Function::New<drop_inherited>(env));
  exports.Set("adoptionFinished", Napi::Function::New<adoption_finished>(env));
  exports.Set("descriptorStoreKind", Napi::Function::New<descriptor_store_kind>(env));
  exports.Set("notify", Napi::Function::New<notify>(env));
  exports.Set("mountsRelease", Napi::Function::New<release_mounts>(env));
}

}  // namespace galleonfs::node
