// The addon's entry. This folder is the only one that includes Node.js headers; its mirror is src/storage/native.ts.
#include <napi.h>

#include "arguments.h"
#include "check_calls.h"
#include "descriptor_store_calls.h"
#include "environment.h"
#include "mount_calls.h"
#include "process_parts.h"
#include "store_calls.h"

namespace galleonfs::node {
namespace {

void configure_process(const Napi::CallbackInfo& info) {
  Napi::Object options = to_object(info[0], "options");
  const std::string in_flight = string_of(options, "inFlight");
  if (in_flight != "auto" && in_flight != "slots") throw Napi::TypeError::New(info.Env(), "inFlight has no meaning: " + in_flight);
  Settings settings{.cache_bytes = uint64_of(options, "cacheBytes"),
                    .fuse_threads_max = static_cast<unsigned>(uint64_of(options, "fuseThreadsMax")),
                    .in_flight = in_flight == "slots" ? fuse::InFlight::slots : fuse::InFlight::automatic};
  if (!configure(settings)) throw Napi::Error::New(info.Env(), "configure() comes before the first store is opened");
}

Napi::Object begin(Napi::Env env, Napi::Object exports) {
  Environment::begin(env);
  exports.Set("configure", Napi::Function::New<configure_process>(env));
  add_store_calls(env, exports);
  add_check_calls(env, exports);
  add_mount_calls(env, exports);
  add_descriptor_store_calls(env, exports);
  return exports;
}

}  // namespace

NODE_API_MODULE(galleonfs, begin)

}  // namespace galleonfs::node
