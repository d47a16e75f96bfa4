// The store's functions, as src/storage/native.ts declares them.
#include "store_calls.h"

#include <cerrno>
#include <utility>

#include "../disk/file_disk.h"
#include "arguments.h"
#include "environment.h"
#include "open_store.h"
#include "process_parts.h"
#include "store_values.h"
#include "work.h"

namespace galleonfs::node {
namespace {

Failure cannot_open(int error, const std::string& directory) {
  const char* code = error == ENOENT || error == ENOTDIR ? "STORE_NOT_FOUND" : error == EBUSY ? "STORE_LOCKED" : "STORE_IO";
  return {error, code, directory + ": " + strerror(error)};
}

// The errno of a BlockDevice call as a Failure.
Failure io_failure(int error) {
  switch (error) {
    case 0:
      return {};
    case EINVAL:
      return {error, "STORE_INVALID_RANGE", "the range is not inside the volume"};
    case ENOSPC:
      return {error, "STORE_NO_SPACE", "no space is left where the volume is kept"};
    case EROFS:
      return {error, "STORE_READ_ONLY", "the volume is read-only"};
    case ESHUTDOWN:
      return {error, "STORE_CLOSED", "the volume store is closed"};
    default:
      return {error, "STORE_IO", strerror(error)};
  }
}

Napi::Value create(const Napi::CallbackInfo& info) {
  std::string directory = to_string(info[0], "directory");
  Napi::Object options = to_object(info[1], "options");
  store::CreateOptions wanted;
  wanted.volume_id = to_uuid(options.Get("volumeId"), "volumeId");
  wanted.size_bytes = uint64_of(options, "sizeBytes");
  uint64_t block_size_bytes = uint64_of(options, "blockSizeBytes");
  wanted.block_size_bytes = block_size_bytes > UINT32_MAX ? 0 : static_cast<uint32_t>(block_size_bytes);
  wanted.segment_size_bytes = uint64_of(options, "segmentSizeBytes");
  return Work::start(info.Env(), {.run = [directory, wanted]() -> Failure {
                       std::unique_ptr<disk::Disk> disk;
                       if (int error = disk::open_directory(directory, &disk)) return cannot_open(error, directory);
                       return store::Store::create(*disk, wanted, store_environment());
                     }});
}

Napi::Value open(const Napi::CallbackInfo& info) {
  std::string directory = to_string(info[0], "directory");
  Napi::Object options = to_object(info[1], "options");
  store::OpenOptions wanted;
  wanted.read_only = bool_of(options, "readOnly");
  wanted.checkpoint_bytes = uint64_of(options, "checkpointBytes");
  auto opened = std::make_shared<std::unique_ptr<store::Store>>();
  return Work::start(
      info.Env(), {.run = [directory, wanted, opened]() -> Failure {
                     std::unique_ptr<disk::Disk> disk;
                     if (int error = disk::open_directory(directory, &disk)) return cannot_open(error, directory);
                     return store::Store::open(std::move(disk), wanted, store_environment(), opened.get());
                   },
                   .settle = [directory, opened](Napi::Env env) -> Napi::Value {
                     auto open_store = std::make_shared<OpenStore>(directory, std::shared_ptr<store::Store>(std::move(*opened)));
                     Environment::of(env).add(open_store);
                     auto store = open_store->usable();
                     auto value = Napi::Object::New(env);
                     value.Set("handle", OpenStore::to_handle(env, open_store));
                     value.Set("volumeId", to_value(env, store->volume_id()));
                     value.Set("sizeBytes", Napi::Number::New(env, static_cast<double>(store->size_bytes())));
                     value.Set("blockSizeBytes", Napi::Number::New(env, store->block_size_bytes()));
                     value.Set("recovery", to_value(env, store->recovery()));
                     return value;
                   }});
}

Napi::Value close(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto open_store = OpenStore::from_handle(info[0]);
  return open_store->close(env, [env, open_store] { Environment::of(env).remove(open_store); });
}

// A call on an open store. `run` gets the Store on a worker.
Napi::Value call(const Napi::CallbackInfo& info, std::function<Failure(store::Store&)> run, Work::Settle settle = nullptr,
                 Napi::Value borrowed = {}) {
  auto open_store = OpenStore::from_handle(info[0]);
  auto store = open_store->usable();
  if (!store) return rejected(info.Env(), store_closed(open_store->directory()));
  open_store->begin_call();
  return Work::start(info.Env(), {.run = [store, run = std::move(run)] { return run(*store); },
                                  .settle = std::move(settle),
                                  .finally = [open_store] { open_store->end_call(); },
                                  .borrowed = borrowed});
}

Napi::Value read(const Napi::CallbackInfo& info) {
  uint64_t offset = to_uint64(info[1], "offset");
  auto into = to_bytes(info[2], "into");
  return call(
      info, [offset, into](store::Store& store) { return io_failure(store.read(offset, into.data(), into.size())); }, nullptr,
      info[2]);
}

Napi::Value write(const Napi::CallbackInfo& info) {
  uint64_t offset = to_uint64(info[1], "offset");
  auto from = to_bytes(info[2], "from");
  bool durable = to_bool(info[3], "durable");
  return call(
      info,
      [offset, from, durable](store::Store& store) {
        return io_failure(store.write(offset, from.data(), from.size(), durable));
      },
      nullptr, info[2]);
}

Napi::Value flush(const Napi::CallbackInfo& info) {
  return call(info, [](store::Store& store) { return io_failure(store.flush()); });
}

Napi::Value discard(const Napi::CallbackInfo& info) {
  uint64_t offset = to_uint64(info[1], "offset");
  uint64_t length = to_uint64(info[2], "length");
  return call(info, [offset, length](store::Store& store) { return io_failure(store.discard(offset, length)); });
}

Napi::Value seek(const Napi::CallbackInfo& info) {
  uint64_t offset = to_uint64(info[1], "offset");
  bool want_data = to_bool(info[2], "wantData");
  auto found = std::make_shared<double>(-1);
  return call(
      info,
      [offset, want_data, found](store::Store& store) -> Failure {
        uint64_t at = 0;
        int error = store.seek(offset, want_data, &at);
        if (error == ENXIO) return {};
        if (error == 0) *found = static_cast<double>(at);
        return io_failure(error);
      },
      [found](Napi::Env env) { return Napi::Number::New(env, *found); });
}

Napi::Value checkpoint(const Napi::CallbackInfo& info) {
  return call(info, [](store::Store& store) { return store.checkpoint(); });
}

Napi::Value compact(const Napi::CallbackInfo& info) {
  double live_share_max = to_share(info[1], "liveShareMax");
  auto rewritten = std::make_shared<uint64_t>(0);
  return call(
      info, [live_share_max, rewritten](store::Store& store) { return store.compact(live_share_max, rewritten.get()); },
      [rewritten](Napi::Env env) { return Napi::Number::New(env, static_cast<double>(*rewritten)); });
}

Napi::Value scrub(const Napi::CallbackInfo& info) {
  auto position = std::make_shared<store::ScrubPosition>(to_scrub_position(to_object(info[1], "position")));
  uint64_t bytes_max = to_uint64(info[2], "bytesMax");
  auto step = std::make_shared<store::ScrubStep>();
  return call(
      info, [position, bytes_max, step](store::Store& store) { return store.scrub(position.get(), bytes_max, step.get()); },
      [position, step](Napi::Env env) { return to_value(env, *position, *step); });
}

Napi::Value stats(const Napi::CallbackInfo& info) { return to_value(info.Env(), OpenStore::from_handle(info[0])->stats()); }

Napi::Value damage(const Napi::CallbackInfo& info) { return to_value(info.Env(), OpenStore::from_handle(info[0])->damage()); }

Napi::Value allocated_bytes(const Napi::CallbackInfo& info) {
  auto store = OpenStore::from_handle(info[0])->usable();
  return Napi::Number::New(info.Env(), store ? static_cast<double>(store->allocated_bytes()) : 0);
}

Napi::Value read_only(const Napi::CallbackInfo& info) {
  auto store = OpenStore::from_handle(info[0])->usable();
  return Napi::Boolean::New(info.Env(), !store || store->read_only());
}

}  // namespace

void add_store_calls(Napi::Env env, Napi::Object exports) {
  exports.Set("storeCreate", Napi::Function::New<create>(env));
  exports.Set("storeOpen", Napi::Function::New<open>(env));
  exports.Set("storeClose", Napi::Function::New<close>(env));
  exports.Set("storeRead", Napi::Function::New<read>(env));
  exports.Set("storeWrite", Napi::Function::New<write>(env));
  exports.Set("storeFlush", Napi::Function::New<flush>(env));
  exports.Set("storeDiscard", Napi::Function::New<discard>(env));
  exports.Set("storeSeek", Napi::Function::New<seek>(env));
  exports.Set("storeCheckpoint", Napi::Function::New<checkpoint>(env));
  exports.Set("storeCompact", Napi::Function::New<compact>(env));
  exports.Set("storeScrub", Napi::Function::New<scrub>(env));
  exports.Set("storeStats", Napi::Function::New<stats>(env));
  exports.Set("storeDamage", Napi::Function::New<damage>(env));
  exports.Set("storeAllocatedBytes", Napi::Function::New<allocated_bytes>(env));
  exports.Set("storeReadOnly", Napi::Function::New<read_only>(env));
}

}  // namespace galleonfs::node
