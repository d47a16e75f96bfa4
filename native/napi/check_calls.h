#pragma once
#include <napi.h>

namespace galleonfs::node {

void add_check_calls(Napi::Env env, Napi::Object exports);

}  // namespace galleonfs::node
