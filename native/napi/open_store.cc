#include "open_store.h"

#include <cerrno>
#include <utility>

namespace galleonfs::node {
namespace {

using Handle = std::shared_ptr<OpenStore>;
constexpr napi_type_tag kTag = {0x9a11e0f55707e001, 0x8d3c5b6a79f20e14};

}  // namespace

Failure store_closed(const std::string& directory) {
  return {ESHUTDOWN, "STORE_CLOSED", "the volume store in " + directory + " is closed"};
}

Napi::Value OpenStore::to_handle(Napi::Env env, std::shared_ptr<OpenStore> store) {
  auto handle = Napi::External<Handle>::New(env, new Handle(std::move(store)), [](Napi::Env, Handle* held) { delete held; });
  handle.TypeTag(&kTag);
  return handle;
}

std::shared_ptr<OpenStore> OpenStore::from_handle(Napi::Value value) {
  if (!value.IsExternal() || !value.As<Napi::External<Handle>>().CheckTypeTag(&kTag)) {
    throw Napi::TypeError::New(value.Env(), "store must be a handle of storeOpen()");
  }
  return *value.As<Napi::External<Handle>>().Data();
}

void OpenStore::end_call() {
  if (--in_flight_ == 0 && when_idle_) std::exchange(when_idle_, nullptr)();
}

Napi::Promise OpenStore::close(Napi::Env env, std::function<void()> closed) {
  if (closing_) return rejected(env, store_closed(directory_));
  if (mounts_ > 0) return rejected(env, {EBUSY, "STORE_MOUNTED", "the volume store in " + directory_ + " is mounted: unmount it"});
  closing_ = true;
  auto deferred = Napi::Promise::Deferred::New(env);
  when_idle_ = [self = shared_from_this(), deferred, closed = std::move(closed)] { self->start_closing(deferred, closed); };
  if (in_flight_ == 0) std::exchange(when_idle_, nullptr)();
  return deferred.Promise();
}

// The worker gets the only reference: a Store's destructor may wait for threads and close many files.
void OpenStore::start_closing(Napi::Promise::Deferred deferred, std::function<void()> closed) {
  struct Last {
    std::shared_ptr<store::Store> store;
    store::Stats stats;
    std::vector<store::Damage> damage;
  };
  auto last = std::make_shared<Last>();
  last_stats_ = store_->stats();
  last_damage_ = store_->damage();
  last->store = std::move(store_);
  Work::start(deferred, {.run =
                             [last] {
                               Failure failure = last->store->close();
                               last->stats = last->store->stats();
                               last->damage = last->store->damage();
                               last->store.reset();
                               return failure;
                             },
                         .finally =
                             [self = shared_from_this(), last, closed = std::move(closed)] {
                               self->last_stats_ = last->stats;
                               self->last_damage_ = last->damage;
                               closed();
                             }});
}

void OpenStore::close_now() {
  closing_ = true;
  if (store_) store_->close();
}

}  // namespace galleonfs::node
