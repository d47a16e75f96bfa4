#include "store_values.h"

#include <algorithm>

#include "arguments.h"

namespace galleonfs::node {
namespace {

Napi::Number number(Napi::Env env, uint64_t value) { return Napi::Number::New(env, static_cast<double>(value)); }

Napi::Object operation(Napi::Env env, const store::OperationStats& stats) {
  auto latency = Napi::Array::New(env, stats.latency.size());
  for (uint32_t i = 0; i < stats.latency.size(); i++) latency.Set(i, number(env, stats.latency[i]));
  auto value = Napi::Object::New(env);
  value.Set("operations", number(env, stats.operations));
  value.Set("bytes", number(env, stats.bytes));
  value.Set("errors", number(env, stats.errors));
  value.Set("latencyUsSum", number(env, stats.latency_us_sum));
  value.Set("latency", latency);
  return value;
}

}  // namespace

Napi::Object to_value(Napi::Env env, const store::RecoveryReport& report) {
  auto value = Napi::Object::New(env);
  value.Set("superblockGeneration", number(env, report.superblock_generation));
  value.Set("usedOlderSuperblock", Napi::Boolean::New(env, report.used_older_superblock));
  value.Set("replayedEntries", number(env, report.replayed_entries));
  value.Set("tornEntries", number(env, report.torn_entries));
  value.Set("damagedEntries", number(env, report.damaged_entries));
  value.Set("durationUs", number(env, report.duration_us));
  return value;
}

Napi::Object to_value(Napi::Env env, const store::Stats& stats) {
  auto value = Napi::Object::New(env);
  value.Set("read", operation(env, stats.read));
  value.Set("write", operation(env, stats.write));
  value.Set("flush", operation(env, stats.flush));
  value.Set("discard", operation(env, stats.discard));
  value.Set("sizeBytes", number(env, stats.size_bytes));
  value.Set("liveBytes", number(env, stats.live_bytes));
  value.Set("segmentBytes", number(env, stats.segment_bytes));
  value.Set("freeSegmentBytes", number(env, stats.free_segment_bytes));
  value.Set("mapBytes", number(env, stats.map_bytes));
  value.Set("segments", number(env, stats.segments));
  value.Set("freeSegments", number(env, stats.free_segments));
  value.Set("checksumFailures", number(env, stats.checksum_failures));
  auto by_kind = Napi::Object::New(env);
  for (const auto& [kind, count] : stats.failures_by_kind) by_kind.Set(kind, number(env, count));
  value.Set("failuresByKind", by_kind);
  value.Set("scrubbedBytes", number(env, stats.scrubbed_bytes));
  value.Set("scrubFinds", number(env, stats.scrub_finds));
  value.Set("scrubHealed", number(env, stats.scrub_healed));
  value.Set("checkpoints", number(env, stats.checkpoints));
  value.Set("compactedBytes", number(env, stats.compacted_bytes));
  value.Set("cacheHits", number(env, stats.cache_hits));
  value.Set("cacheMisses", number(env, stats.cache_misses));
  value.Set("nextLsn", number(env, stats.next_lsn));
  value.Set("durableLsn", number(env, stats.durable_lsn));
  value.Set("checkpointLsn", number(env, stats.checkpoint_lsn));
  value.Set("deltaEntries", number(env, stats.delta_entries));
  value.Set("readOnlyReason", Napi::String::New(env, stats.read_only_reason));
  value.Set("refusal", Napi::String::New(env, stats.refusal));
  return value;
}

Napi::Object to_value(Napi::Env env, const store::Damage& damage) {
  auto value = Napi::Object::New(env);
  value.Set("kind", Napi::String::New(env, damage.kind));
  value.Set("file", Napi::String::New(env, damage.file));
  value.Set("fileOffsetBytes", number(env, damage.file_offset_bytes));
  if (damage.volume_offset_bytes != UINT64_MAX) value.Set("volumeOffsetBytes", number(env, damage.volume_offset_bytes));
  value.Set("segment", number(env, damage.segment));
  value.Set("slot", number(env, damage.slot));
  value.Set("detail", Napi::String::New(env, damage.detail));
  return value;
}

Napi::Array to_value(Napi::Env env, const std::vector<store::Damage>& damage) {
  auto values = Napi::Array::New(env, damage.size());
  for (uint32_t i = 0; i < damage.size(); i++) values.Set(i, to_value(env, damage[i]));
  return values;
}

store::ScrubPosition to_scrub_position(Napi::Object value) {
  const uint64_t phase = uint64_of(value, "phase");
  const uint64_t slot = uint64_of(value, "slot");
  if (phase > static_cast<uint64_t>(store::ScrubPhase::done) || slot > UINT32_MAX) {
    throw Napi::TypeError::New(value.Env(), "position must be one that storeScrub() gave");
  }
  store::ScrubPosition position{static_cast<store::ScrubPhase>(phase), uint64_of(value, "at"), static_cast<uint32_t>(slot),
                                uint64_of(value, "endSegment"), {}};
  auto suspects = to_object(value.Get("suspects"), "suspects").As<Napi::Array>();
  for (uint32_t i = 0; i < suspects.Length(); i++) {
    Napi::Object pair = to_object(suspects.Get(i), "suspect");
    position.suspects.emplace_back(to_uint64(pair.Get(0U), "segment"), static_cast<uint32_t>(to_uint64(pair.Get(1U), "slot")));
  }
  return position;
}

Napi::Object to_value(Napi::Env env, const store::ScrubPosition& position, const store::ScrubStep& step) {
  auto suspects = Napi::Array::New(env, position.suspects.size());
  for (uint32_t i = 0; i < position.suspects.size(); i++) {
    auto pair = Napi::Array::New(env, 2);
    pair.Set(0U, number(env, position.suspects[i].first));
    pair.Set(1U, number(env, position.suspects[i].second));
    suspects.Set(i, pair);
  }
  auto at = Napi::Object::New(env);
  at.Set("phase", number(env, static_cast<uint64_t>(position.phase)));
  at.Set("at", number(env, position.at));
  at.Set("slot", number(env, position.slot));
  at.Set("endSegment", number(env, position.end_segment));
  at.Set("suspects", suspects);
  auto finds = Napi::Array::New(env, step.finds.size());
  for (uint32_t i = 0; i < step.finds.size(); i++) {
    Napi::Object find = to_value(env, step.finds[i].place);
    if (!step.finds[i].healed.empty()) find.Set("healed", Napi::String::New(env, step.finds[i].healed));
    finds.Set(i, find);
  }
  auto value = Napi::Object::New(env);
  value.Set("position", at);
  value.Set("done", Napi::Boolean::New(env, position.phase == store::ScrubPhase::done));
  value.Set("doneBytes", number(env, step.done_bytes));
  value.Set("totalBytes", number(env, step.total_bytes));
  value.Set("finds", finds);
  return value;
}

Napi::Uint8Array to_value(Napi::Env env, const std::array<uint8_t, 16>& uuid) {
  auto value = Napi::Uint8Array::New(env, uuid.size());
  std::copy(uuid.begin(), uuid.end(), value.Data());
  return value;
}

}  // namespace galleonfs::node
