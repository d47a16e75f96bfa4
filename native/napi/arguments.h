// Reading arguments. A wrong type is a bug of the caller (src/storage), not an operating error: TypeError, thrown at once.
#pragma once
#include <napi.h>

#include <array>
#include <cstdint>
#include <span>
#include <string>

namespace galleonfs::node {

// A whole number from 0 to 2^53 - 1.
uint64_t to_uint64(Napi::Value value, const char* name);
double to_share(Napi::Value value, const char* name);
bool to_bool(Napi::Value value, const char* name);
std::string to_string(Napi::Value value, const char* name);
Napi::Object to_object(Napi::Value value, const char* name);
// The bytes of a Uint8Array (a Buffer is one), valid as long as it is referenced.
std::span<std::byte> to_bytes(Napi::Value value, const char* name);
std::array<uint8_t, 16> to_uuid(Napi::Value value, const char* name);

inline uint64_t uint64_of(Napi::Object object, const char* name) { return to_uint64(object.Get(name), name); }
inline bool bool_of(Napi::Object object, const char* name) { return to_bool(object.Get(name), name); }
inline std::string string_of(Napi::Object object, const char* name) { return to_string(object.Get(name), name); }

}  // namespace galleonfs::node
