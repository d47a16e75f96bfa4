// What one JavaScript environment (the main thread, or a worker thread that loaded the addon) has open. At its end the
// mounts are stopped and the stores closed, whatever was forgotten. All on the JavaScript thread.
#pragma once
#include <napi.h>

#include <memory>
#include <unordered_set>

#include "open_store.h"

namespace galleonfs::node {

class Environment {
 public:
  static void begin(Napi::Env env);
  static Environment& of(Napi::Env env) { return *env.GetInstanceData<Environment>(); }

  void add(std::shared_ptr<OpenStore> store) { stores_.insert(std::move(store)); }
  void remove(const std::shared_ptr<OpenStore>& store) { stores_.erase(store); }

 private:
  void end();

  std::unordered_set<std::shared_ptr<OpenStore>> stores_;
};

}  // namespace galleonfs::node
