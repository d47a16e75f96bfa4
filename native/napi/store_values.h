// What a store tells about itself, as JavaScript values (src/storage/native.ts has their types).
#pragma once
#include <napi.h>

#include "../store/scrub.h"
#include "../store/store.h"

namespace galleonfs::node {

Napi::Object to_value(Napi::Env env, const store::RecoveryReport& report);
Napi::Object to_value(Napi::Env env, const store::Stats& stats);
Napi::Object to_value(Napi::Env env, const store::Damage& damage);
Napi::Array to_value(Napi::Env env, const std::vector<store::Damage>& damage);
// A scrub's position crosses as {phase, at, slot, endSegment, suspects: [[segment, slot], ...]}.
store::ScrubPosition to_scrub_position(Napi::Object value);
Napi::Object to_value(Napi::Env env, const store::ScrubPosition& position, const store::ScrubStep& step);
Napi::Uint8Array to_value(Napi::Env env, const std::array<uint8_t, 16>& uuid);

}  // namespace galleonfs::node
