// Calls about the descriptor store and what it handed back.
#pragma once
#include <napi.h>

namespace galleonfs::node {

void add_descriptor_store_calls(Napi::Env env, Napi::Object exports);

}  // namespace galleonfs::node
