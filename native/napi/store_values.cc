#include "store_values.h"

#include <algorithm>

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

Napi::Uint8Array to_value(Napi::Env env, const std::array<uint8_t, 16>& uuid) {
  auto value = Napi::Uint8Array::New(env, uuid.size());
  std::copy(uuid.begin(), uuid.end(), value.Data());
  return value;
}

}  // namespace galleonfs::node
