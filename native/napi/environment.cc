#include "environment.h"

namespace galleonfs::node {

void Environment::begin(Napi::Env env) {
  auto* environment = new Environment;
  env.SetInstanceData(environment);  // deletes it after the hooks have run
  env.AddCleanupHook([](Environment* ending) { ending->end(); }, environment);
}

// Node.js has waited for all queued work before it runs this.
void Environment::end() {
  for (const auto& mount : mounts_) mount->stop_now();
  mounts_.clear();
  for (const auto& store : stores_) store->close_now();
  stores_.clear();
}

}  // namespace galleonfs::node
