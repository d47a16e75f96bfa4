#pragma once
#include <napi.h>

namespace galleonfs::node {

void add_store_calls(Napi::Env env, Napi::Object exports);

}  // namespace galleonfs::node
