// A store as JavaScript holds it.
//
// Invariants. All members belong to the JavaScript thread; workers get the Store alone, by shared_ptr, and it locks for
// itself. An open store is kept in its environment's list until it is closed, whoever else forgets it. While `in_flight`
// or `mounts` is not 0 the store is not closed: close() waits for the first and refuses the second.
#pragma once
#include <napi.h>

#include <functional>
#include <memory>
#include <string>

#include "../store/store.h"
#include "work.h"

namespace galleonfs::node {

class OpenStore : public std::enable_shared_from_this<OpenStore> {
 public:
  OpenStore(std::string directory, std::shared_ptr<store::Store> store)
      : directory_(std::move(directory)), store_(std::move(store)) {}

  static Napi::Value to_handle(Napi::Env env, std::shared_ptr<OpenStore> store);
  static std::shared_ptr<OpenStore> from_handle(Napi::Value value);

  // Null once closing has begun.
  std::shared_ptr<store::Store> usable() const { return closing_ ? nullptr : store_; }
  const std::string& directory() const { return directory_; }
  store::Stats stats() const { return store_ ? store_->stats() : last_stats_; }
  std::vector<store::Damage> damage() const { return store_ ? store_->damage() : last_damage_; }

  // Counted until end_call(); a mount likewise.
  void begin_call() { in_flight_++; }
  void end_call();
  void begin_mount() { mounts_++; }
  void end_mount() { mounts_--; }

  // `closed` runs on the JavaScript thread when the store is closed and gone.
  Napi::Promise close(Napi::Env env, std::function<void()> closed);
  // At the end of the environment: no call is in flight any more. Blocks.
  void close_now();

 private:
  void start_closing(Napi::Promise::Deferred deferred, std::function<void()> closed);

  std::string directory_;
  std::shared_ptr<store::Store> store_;  // null once being closed
  store::Stats last_stats_;              // set then
  std::vector<store::Damage> last_damage_;
  size_t in_flight_ = 0;
  size_t mounts_ = 0;
  bool closing_ = false;
  std::function<void()> when_idle_;
};

Failure store_closed(const std::string& directory);

}  // namespace galleonfs::node
