// The offline check's functions, as src/storage/native.ts declares them. A check's handle holds the store's lock until
// checkEnd() or the garbage collector; one call on it at a time, but for progress and cancel.
#include "check_calls.h"

#include <cerrno>
#include <cstring>

#include "../disk/file_disk.h"
#include "../store/check.h"
#include "arguments.h"
#include "store_values.h"
#include "work.h"

namespace galleonfs::node {
namespace {

using Handle = std::shared_ptr<store::StoreCheck>;
constexpr napi_type_tag kTag = {0x9a11e0f5c4ec4001, 0x6b1f0a2d94e37c58};

Handle& handle_of(Napi::Value value) {
  if (!value.IsExternal() || !value.As<Napi::External<Handle>>().CheckTypeTag(&kTag)) {
    throw Napi::TypeError::New(value.Env(), "check must be a handle of checkBegin()");
  }
  Handle& handle = *value.As<Napi::External<Handle>>().Data();
  if (!handle) throw Napi::TypeError::New(value.Env(), "the check has ended");
  return handle;
}

Napi::Object report_value(Napi::Env env, const store::CheckReport& report) {
  auto value = Napi::Object::New(env);
  const auto set = [&](const char* name, uint64_t number) {
    value.Set(name, Napi::Number::New(env, static_cast<double>(number)));
  };
  value.Set("volumeId", to_value(env, report.volume_id));
  set("sizeBytes", report.size_bytes);
  set("blockSizeBytes", report.block_size_bytes);
  set("superblockGeneration", report.superblock_generation);
  set("checkpointLsn", report.checkpoint_lsn);
  set("liveBlocks", report.live_blocks);
  set("verifiedBlocks", report.verified_blocks);
  set("lostBlocks", report.lost_blocks);
  set("segments", report.segments);
  set("compactedSegments", report.compacted_segments);
  set("filesInUse", report.files_in_use);
  set("filesReplayed", report.files_replayed);
  set("filesPending", report.files_pending);
  set("filesFree", report.files_free);
  set("fileBytes", report.file_bytes);
  set("mapPages", report.map_pages);
  set("mapPagesUsed", report.map_pages_used);
  set("mapPagesPending", report.map_pages_pending);
  set("mapPagesFree", report.map_pages_free);
  set("stragglerEntries", report.straggler_entries);
  set("replayEntries", report.replay_entries);
  set("tornEntries", report.torn_entries);
  set("readBytes", report.read_bytes);
  set("durationUs", report.duration_us);
  set("notes", report.notes);
  set("errors", report.errors);
  set("damages", report.damages);
  auto findings = Napi::Array::New(env, report.findings.size());
  for (uint32_t i = 0; i < report.findings.size(); i++) {
    const store::Finding& finding = report.findings[i];
    constexpr const char* kSeverities[] = {"note", "error", "damage"};
    Napi::Object found = to_value(env, finding.place);
    found.Set("severity", Napi::String::New(env, kSeverities[static_cast<int>(finding.severity)]));
    if (!finding.repair.empty()) found.Set("repair", Napi::String::New(env, finding.repair));
    findings.Set(i, found);
  }
  value.Set("findings", findings);
  return value;
}

Napi::Value begin(const Napi::CallbackInfo& info) {
  std::string directory = to_string(info[0], "directory");
  const disk::Access access = to_bool(info[1], "writable") ? disk::Access::read_write : disk::Access::read_only;
  auto begun = std::make_shared<std::unique_ptr<store::StoreCheck>>();
  return Work::start(info.Env(), {.run = [directory, access, begun]() -> Failure {
                                    std::unique_ptr<disk::Disk> disk;
                                    if (int error = disk::open_directory(directory, &disk, access)) {
                                      const bool missing = error == ENOENT || error == ENOTDIR;
                                      return {error, missing ? "STORE_NOT_FOUND" : "STORE_IO", directory + ": " + strerror(error)};
                                    }
                                    return store::StoreCheck::begin(std::move(disk), begun.get());
                                  },
                                  .settle = [begun](Napi::Env env) -> Napi::Value {
                                    auto handle = Napi::External<Handle>::New(
                                        env, new Handle(std::move(*begun)), [](Napi::Env, Handle* held) { delete held; });
                                    handle.TypeTag(&kTag);
                                    return handle;
                                  }});
}

Napi::Value run(const Napi::CallbackInfo& info) {
  auto report = std::make_shared<store::CheckReport>();
  return Work::start(info.Env(), {.run = [check = handle_of(info[0]), report] { return check->check(report.get()); },
                                  .settle = [report](Napi::Env env) -> Napi::Value { return report_value(env, *report); }});
}

Napi::Value repair(const Napi::CallbackInfo& info) {
  return Work::start(info.Env(), {.run = [check = handle_of(info[0])] { return check->repair(); }});
}

Napi::Value progress(const Napi::CallbackInfo& info) {
  const store::CheckProgress& now = handle_of(info[0])->progress();
  auto value = Napi::Object::New(info.Env());
  value.Set("doneBytes", Napi::Number::New(info.Env(), static_cast<double>(now.done_bytes)));
  value.Set("totalBytes", Napi::Number::New(info.Env(), static_cast<double>(now.total_bytes)));
  return value;
}

void cancel(const Napi::CallbackInfo& info) { handle_of(info[0])->progress().cancelled = true; }

void end(const Napi::CallbackInfo& info) { handle_of(info[0]).reset(); }

}  // namespace

void add_check_calls(Napi::Env env, Napi::Object exports) {
  exports.Set("checkBegin", Napi::Function::New<begin>(env));
  exports.Set("checkRun", Napi::Function::New<run>(env));
  exports.Set("checkRepair", Napi::Function::New<repair>(env));
  exports.Set("checkProgress", Napi::Function::New<progress>(env));
  exports.Set("checkCancel", Napi::Function::New<cancel>(env));
  exports.Set("checkEnd", Napi::Function::New<end>(env));
}

}  // namespace galleonfs::node
