#include "arguments.h"

#include <cmath>
#include <cstring>

namespace galleonfs::node {
namespace {

constexpr double kIntegerMax = 9007199254740991.0;

[[noreturn]] void wrong(Napi::Value value, const char* name, const char* expected) {
  throw Napi::TypeError::New(value.Env(), std::string(name) + " must be " + expected);
}

}  // namespace

uint64_t to_uint64(Napi::Value value, const char* name) {
  if (!value.IsNumber()) wrong(value, name, "a number");
  double number = value.As<Napi::Number>().DoubleValue();
  if (!(number >= 0 && number <= kIntegerMax) || std::trunc(number) != number) {
    wrong(value, name, "a whole number from 0 to 2^53 - 1");
  }
  return static_cast<uint64_t>(number);
}

double to_share(Napi::Value value, const char* name) {
  if (!value.IsNumber()) wrong(value, name, "a number");
  double number = value.As<Napi::Number>().DoubleValue();
  if (!(number >= 0 && number <= 1)) wrong(value, name, "from 0 to 1");
  return number;
}

bool to_bool(Napi::Value value, const char* name) {
  if (!value.IsBoolean()) wrong(value, name, "a boolean");
  return value.As<Napi::Boolean>().Value();
}

std::string to_string(Napi::Value value, const char* name) {
  if (!value.IsString()) wrong(value, name, "a string");
  return value.As<Napi::String>().Utf8Value();
}

Napi::Object to_object(Napi::Value value, const char* name) {
  if (!value.IsObject()) wrong(value, name, "an object");
  return value.As<Napi::Object>();
}

std::span<std::byte> to_bytes(Napi::Value value, const char* name) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) {
    wrong(value, name, "a Uint8Array");
  }
  auto array = value.As<Napi::Uint8Array>();
  return {reinterpret_cast<std::byte*>(array.Data()), array.ByteLength()};
}

std::array<uint8_t, 16> to_uuid(Napi::Value value, const char* name) {
  auto bytes = to_bytes(value, name);
  std::array<uint8_t, 16> uuid;
  if (bytes.size() != uuid.size()) wrong(value, name, "16 bytes");
  std::memcpy(uuid.data(), bytes.data(), uuid.size());
  return uuid;
}

}  // namespace galleonfs::node
