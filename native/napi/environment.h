// What one JavaScript environment (the main thread, or a worker thread that loaded the addon) has open. At its end the
// mounts are stopped and the stores closed, whatever was forgotten. All on the JavaScript thread.
#pragma once
#include <napi.h>

#include <memory>
#include <unordered_set>
#include <vector>

#include "open_mount.h"
#include "open_store.h"

namespace galleonfs::node {

class Environment {
 public:
  static void begin(Napi::Env env);
  static Environment& of(Napi::Env env) { return *env.GetInstanceData<Environment>(); }

  void add(std::shared_ptr<OpenStore> store) { stores_.insert(std::move(store)); }
  void remove(const std::shared_ptr<OpenStore>& store) { stores_.erase(store); }
  void add(std::shared_ptr<OpenMount> mount) { mounts_.insert(std::move(mount)); }
  void remove(const std::shared_ptr<OpenMount>& mount) { mounts_.erase(mount); }
  // A copy: those that end meanwhile leave the list.
  std::vector<std::shared_ptr<OpenMount>> mounts() const { return {mounts_.begin(), mounts_.end()}; }

 private:
  void end();

  std::unordered_set<std::shared_ptr<OpenStore>> stores_;
  std::unordered_set<std::shared_ptr<OpenMount>> mounts_;
};

}  // namespace galleonfs::node
