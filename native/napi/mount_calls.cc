// The mount's functions, as src/storage/native.ts declares them.
#include "mount_calls.h"

#include <cerrno>
#include <functional>
#include <string>
#include <utility>

#include "../fuse/mount.h"
#include "../fuse/mount_table.h"
#include "arguments.h"
#include "inherited_mounts.h"
#include "live_sessions.h"
#include "open_mount.h"
#include "open_store.h"
#include "process_parts.h"
#include "work.h"

namespace galleonfs::node {
namespace {

template <typename Choice>
Choice choice_of(Napi::Object options, const char* name, std::initializer_list<std::pair<const char*, Choice>> choices) {
  std::string value = string_of(options, name);
  for (const auto& [text, choice] : choices) {
    if (value == text) return choice;
  }
  throw Napi::TypeError::New(options.Env(), std::string(name) + " has no meaning: " + value);
}

fuse::MountOptions to_mount_options(Napi::Object options) {
  using fuse::CacheMode;
  using fuse::TruncatePolicy;
  fuse::MountOptions wanted;
  wanted.mount_point = string_of(options, "mountPoint");
  const std::string key = string_of(options, "key");
  auto parsed_key = fuse::parse_key(key);
  if (!key.empty() && !parsed_key) throw Napi::TypeError::New(options.Env(), "key must be 16 hex digits: " + key);
  wanted.key = parsed_key.value_or(0);
  wanted.read_only = bool_of(options, "readOnly");
  wanted.sync = bool_of(options, "sync");
  wanted.allow_other = bool_of(options, "allowOther");
  wanted.uid = static_cast<uid_t>(uint64_of(options, "uid"));
  wanted.gid = static_cast<gid_t>(uint64_of(options, "gid"));
  wanted.file_mode = static_cast<mode_t>(uint64_of(options, "fileMode"));
  wanted.directory_mode = static_cast<mode_t>(uint64_of(options, "directoryMode"));
  wanted.truncate = choice_of<TruncatePolicy>(
      options, "truncate",
      {{"discard", TruncatePolicy::discard}, {"ignore", TruncatePolicy::ignore}, {"refuse", TruncatePolicy::refuse}});
  wanted.cache = choice_of<CacheMode>(options, "cacheMode", {{"direct", CacheMode::direct}, {"cached", CacheMode::cached}});
  wanted.in_flight = settings().in_flight;
  wanted.readme = string_of(options, "readme");
  wanted.metadata = string_of(options, "metadata");
  return wanted;
}

// `serve` makes the session of a store, on a worker; then `settled` runs on the JavaScript thread, whatever came of it.
using Serve = std::function<std::shared_ptr<fuse::Session>(std::shared_ptr<store::Store>, fuse::Error&)>;

Napi::Value serve_store(const Napi::CallbackInfo& info, Napi::Value lost_argument, Serve serve, std::function<void()> settled) {
  Napi::Env env = info.Env();
  auto open_store = OpenStore::from_handle(info[0]);
  auto lost = std::make_shared<Napi::FunctionReference>(Napi::Persistent(lost_argument.As<Napi::Function>()));
  auto store = open_store->usable();
  if (!store) return rejected(env, store_closed(open_store->directory()));

  // Both counts: the mount's goes over to OpenMount on success.
  open_store->begin_call();
  open_store->begin_mount();
  auto session = std::make_shared<std::shared_ptr<fuse::Session>>();
  return Work::start(env, {.run = [store, serve, session]() -> Failure {
                             fuse::Error error;
                             *session = serve(store, error);
                             return {error.errno_value, error.code, error.detail};
                           },
                           .settle =
                               [open_store, session, lost](Napi::Env env) {
                                 auto mount = std::make_shared<OpenMount>(open_store, *session);
                                 mount->start(env, lost->Value());
                                 return OpenMount::to_handle(env, mount);
                               },
                           .finally =
                               [open_store, session, settled] {
                                 if (!*session) open_store->end_mount();
                                 open_store->end_call();
                                 settled();
                               }});
}

Napi::Value start(const Napi::CallbackInfo& info) {
  OpenStore::from_handle(info[0]);
  fuse::MountOptions options = to_mount_options(to_object(info[1], "options"));
  if (!info[2].IsFunction()) throw Napi::TypeError::New(info.Env(), "lost must be a function");
  return serve_store(
      info, info[2], [options](auto store, fuse::Error& error) { return mount_store(std::move(store), options, error); }, [] {});
}

std::vector<int> to_descriptors(Napi::Value value) {
  if (!value.IsArray()) throw Napi::TypeError::New(value.Env(), "descriptors must be an array");
  auto array = value.As<Napi::Array>();
  std::vector<int> descriptors;
  for (uint32_t i = 0; i < array.Length(); i++) {
    descriptors.push_back(static_cast<int>(to_uint64(array.Get(i), "descriptors")));
  }
  return descriptors;
}

Napi::Value adopt(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto open_store = OpenStore::from_handle(info[0]);
  fuse::MountOptions options = to_mount_options(to_object(info[1], "options"));
  Napi::Object inherited = to_object(info[2], "inherited");
  auto expected = to_descriptors(inherited.Get("descriptors"));
  options.device_id = string_of(inherited, "deviceId");
  auto negotiated = fuse::negotiated_from_text(string_of(inherited, "negotiated"));
  if (!info[3].IsFunction()) throw Napi::TypeError::New(env, "lost must be a function");
  if (!negotiated) {
    return rejected(env, {EINVAL, "FUSE_MOUNT_FAILED", "what was negotiated for the mount at '" + options.mount_point + "' is not readable"});
  }
  if (!open_store->usable()) return rejected(env, store_closed(open_store->directory()));
  auto& mounts = InheritedMounts::of_process();
  auto descriptors = mounts.claim(options.key, expected);
  if (!descriptors) {
    return rejected(env, {EINVAL, "FUSE_MOUNT_FAILED", "these are not the descriptors that were inherited for the mount at '" + options.mount_point + "'"});
  }
  auto generations = mounts.begin_adopting();
  return serve_store(
      info, info[3],
      [options, descriptors = *descriptors, negotiated = *negotiated, generations](auto store, fuse::Error& error) {
        return adopt_store(std::move(store), options, {descriptors, negotiated, *generations}, error);
      },
      [&mounts] { mounts.end_adopting(); });
}

Napi::Value state(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  fuse::Session& session = OpenMount::from_handle(info[0])->session();
  const fuse::Negotiated negotiated = session.negotiated();
  auto value = Napi::Object::New(env);
  value.Set("deviceId", session.device_id());
  value.Set("negotiated", fuse::to_text(negotiated));
  value.Set("inFlight", !session.deposited() ? "none" : negotiated.resends() ? "resend" : "slots");
  return value;
}

void set_files(const Napi::CallbackInfo& info) {
  auto mount = OpenMount::from_handle(info[0]);
  mount->session().set_readme(to_string(info[1], "readme"));
  mount->session().set_metadata(to_string(info[2], "metadata"));
}

Napi::Value stop(const Napi::CallbackInfo& info) {
  auto mount = OpenMount::from_handle(info[0]);
  return mount->stop(info.Env(), to_bool(info[1], "lazy"));
}

Napi::Value stats(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  fuse::CounterValues counters = OpenMount::from_handle(info[0])->session().counters();
  auto number = [env](uint64_t value) { return Napi::Number::New(env, static_cast<double>(value)); };
  auto value = Napi::Object::New(env);
  auto set_group = [&](const char* name, fuse::OpGroup group) {
    auto requests = Napi::Object::New(env);
    requests.Set("requests", number(counters.requests[static_cast<size_t>(group)]));
    requests.Set("errors", number(counters.errors[static_cast<size_t>(group)]));
    value.Set(name, requests);
  };
  set_group("read", fuse::OpGroup::read);
  set_group("write", fuse::OpGroup::write);
  set_group("flush", fuse::OpGroup::flush);
  set_group("discard", fuse::OpGroup::discard);
  set_group("metadata", fuse::OpGroup::metadata);
  set_group("other", fuse::OpGroup::other);
  value.Set("bytesRead", number(counters.bytes_read));
  value.Set("bytesWritten", number(counters.bytes_written));
  value.Set("inFlight", number(counters.in_flight));
  return value;
}

Napi::Value unmount_path(const Napi::CallbackInfo& info) {
  std::string path = to_string(info[0], "path");
  bool lazy = to_bool(info[1], "lazy");
  return Work::start(info.Env(), {.run = [path, lazy]() -> Failure {
                       auto there = fuse::find_mount(fuse::canonical_mount_point(path));
                       if (!there || there->type != fuse::kMountType) return {};
                       fuse::Error error = fuse::unmount_connection(there->mount_point, there->device, lazy);
                       return {error.errno_value, error.code, error.detail};
                     }});
}

}  // namespace

void add_mount_calls(Napi::Env env, Napi::Object exports) {
  exports.Set("mountStart", Napi::Function::New<start>(env));
  exports.Set("mountAdopt", Napi::Function::New<adopt>(env));
  exports.Set("mountState", Napi::Function::New<state>(env));
  exports.Set("mountSetFiles", Napi::Function::New<set_files>(env));
  exports.Set("mountStop", Napi::Function::New<stop>(env));
  exports.Set("unmountPath", Napi::Function::New<unmount_path>(env));
  exports.Set("mountStats", Napi::Function::New<stats>(env));
}

}  // namespace galleonfs::node
