#pragma once
#include <napi.h>

namespace galleonfs::node {

void add_mount_calls(Napi::Env env, Napi::Object exports);

}  // namespace galleonfs::node
