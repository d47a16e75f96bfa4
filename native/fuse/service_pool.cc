#include "service_pool.h"

#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

namespace galleonfs::fuse {
namespace {

constexpr int kTickMs = 5;
constexpr int kIdleTicks = 4;          // a blocking read that took so long sends its thread back to polling
constexpr int kStarvedTicks = 2;
constexpr int kSpareThreadMs = 2000;   // a poller beyond threads_min leaves after so long without work
constexpr uint32_t kBusyStreak = 8;    // requests that follow one another within kBusyGapNs make a session busy
constexpr int64_t kBusyGapNs = 2'000'000;
constexpr int kPollersReserved = 2;    // threads that never attach
constexpr int64_t kCrowdedNs = 1'000'000'000;  // how long nobody attaches after a busy session found no room
constexpr uint64_t kWakeId = 0;

// Ends a blocking read with EINTR. Real-time signals of this number are nobody's: libuv and V8 use none.
int kick_signal() { return SIGRTMIN + 7; }

void install_kick() {
  struct sigaction action = {};
  action.sa_handler = [](int) {};
  sigaction(kick_signal(), &action, nullptr);  // no SA_RESTART: the read must return
}

// The process's signals are for its main thread. IO_FLUSHER lets this thread allocate memory while the kernel writes
// pages back through it; it is a thread's own flag, needs CAP_SYS_RESOURCE, and nothing rests on it: buffers are resident
// and nothing is allocated per request.
void prepare_thread(const char* name) {
  pthread_setname_np(pthread_self(), name);
  prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
  sigset_t set;
  sigfillset(&set);
  for (int s : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS}) sigdelset(&set, s);
  sigdelset(&set, kick_signal());
  pthread_sigmask(SIG_SETMASK, &set, nullptr);
}

int64_t now_ns() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1'000'000'000LL + t.tv_nsec;
}

}  // namespace

ServicePool::ServicePool(PoolOptions options, RequestSlots& slots) : options_([&] {
  options.threads_max = std::max<size_t>(options.threads_max, 4);
  options.threads_min = std::clamp<size_t>(options.threads_min, 1, options.threads_max);
  options.clones_max = std::min(options.clones_max, Session::kDescriptorsMax - 1);
  return options;
}()), slots_(slots) {}

ServicePool::~ServicePool() {
  stop();
  if (epoll_ >= 0) close(epoll_);
  if (wake_ >= 0) close(wake_);
}

int ServicePool::start() {
  install_kick();
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (epoll_ < 0 || wake_ < 0) return errno;
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kWakeId;
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, wake_, &event) != 0) return errno;
  std::lock_guard lock(mutex_);
  for (size_t i = 0; i < options_.threads_min; i++) {
    if (!spawn_locked()) return EAGAIN;
  }
  try {
    keeper_ = std::thread([this] { keep(); });
  } catch (const std::system_error&) {
    return EAGAIN;
  }
  return 0;
}

void ServicePool::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_.store(true);
    keeper_wakes_.notify_all();
  }
  if (wake_ >= 0) {
    uint64_t one = 1;
    (void)!::write(wake_, &one, sizeof one);
  }
  if (keeper_.joinable()) keeper_.join();
  // A signal may arrive just before its thread enters the read, so they are repeated until all have left.
  for (;;) {
    {
      std::lock_guard lock(mutex_);
      if (live_ == 0) break;
    }
    kick_idle(true);
    usleep(1000);
  }
  std::vector<std::unique_ptr<Worker>> workers;
  {
    std::lock_guard lock(mutex_);
    workers.swap(workers_);
    sessions_.clear();
  }
  for (auto& worker : workers) worker->thread.join();
}

int ServicePool::add(const std::shared_ptr<Session>& session) {
  std::lock_guard lock(mutex_);
  if (stopping_.load()) return ESHUTDOWN;
  uint64_t id = next_id_++;
  session->service_.id = id;
  session->service_.armed.store(true);
  epoll_event event{};
  event.events = EPOLLIN | EPOLLONESHOT;
  event.data.u64 = id;
  sessions_.emplace(id, session);
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, session->fd_at(0), &event) != 0) {
    int error = errno;
    sessions_.erase(id);
    return error;
  }
  return 0;
}

size_t ServicePool::thread_count() const {
  std::lock_guard lock(mutex_);
  return live_;
}

// With mutex_ held. Threads that have left are joined here.
bool ServicePool::spawn_locked() {
  std::erase_if(workers_, [](const std::unique_ptr<Worker>& worker) {
    if (!worker->done.load()) return false;
    worker->thread.join();
    return true;
  });
  auto worker = std::make_unique<Worker>(slots_);
  if (!worker->buffers.ok()) return false;
  polling_.fetch_add(1);
  try {
    worker->thread = std::thread([this, w = worker.get()] {
      run(*w);
      w->buffers.give_back();
    });
  } catch (const std::system_error&) {
    polling_.fetch_sub(1);
    return false;
  }
  workers_.push_back(std::move(worker));
  live_++;
  return true;
}

// A poller got work: when it was the last one, another takes its place.
void ServicePool::leave_polling() {
  if (polling_.fetch_sub(1) != 1) return;
  std::lock_guard lock(mutex_);
  if (polling_.load() == 0 && live_ < options_.threads_max && !stopping_.load()) spawn_locked();
}

// For a poller without work: true when it is one too many and has been signed off.
bool ServicePool::retire(Worker& worker) {
  std::lock_guard lock(mutex_);
  if (live_ <= options_.threads_min || polling_.load() <= 1) return false;
  sign_off_locked(worker);
  return true;
}

void ServicePool::sign_off_locked(Worker& worker) {
  polling_.fetch_sub(1);
  live_--;
  worker.done.store(true);
}

void ServicePool::run(Worker& worker) {
  prepare_thread("galleonfs-fuse");
  // On entry and at the top of the loop this thread counts in polling_.
  while (!stopping_.load()) {
    epoll_event event;
    int n = epoll_wait(epoll_, &event, 1, kSpareThreadMs);
    if (n < 0) continue;  // EINTR: a late kick
    if (n == 0) {
      if (retire(worker)) return;
      continue;
    }
    if (event.data.u64 == kWakeId) break;
    leave_polling();
    if (auto session = enter(event.data.u64)) {
      session->service_.armed.store(false);
      serve_one(worker, session);
      leave(session);
    }
    polling_.fetch_add(1);
  }
  std::lock_guard lock(mutex_);
  sign_off_locked(worker);
}

std::shared_ptr<Session> ServicePool::enter(uint64_t id) {
  std::lock_guard lock(mutex_);
  auto found = sessions_.find(id);
  if (found == sessions_.end()) return nullptr;
  found->second->service_.users++;
  return found->second;
}

// The last thread to leave an ended session closes it and reports it.
void ServicePool::leave(const std::shared_ptr<Session>& session) {
  {
    std::lock_guard lock(mutex_);
    session->service_.users--;
    if (!session->ended() || session->service_.users > 0 || session->service_.finished) return;
    session->service_.finished = true;
    sessions_.erase(session->service_.id);
  }
  session->close_descriptors();  // takes it out of epoll as well
  if (options_.on_ended) options_.on_ended(*session);
}

void ServicePool::finish(const std::shared_ptr<Session>& session) {
  session->mark_ended();  // other threads inside find out by their own read
}

void ServicePool::arm(Session& session) {
  if (session.ended() || session.service_.armed.exchange(true)) return;
  epoll_event event{};
  event.events = EPOLLIN | EPOLLONESHOT;
  event.data.u64 = session.service_.id;
  epoll_ctl(epoll_, EPOLL_CTL_MOD, session.fd_at(0), &event);
}

// This thread no longer counts on reading `session` soon.
void ServicePool::unread(Session& session) {
  if (session.service_.readers.fetch_sub(1) == 1) arm(session);
}

void ServicePool::serve_one(Worker& worker, const std::shared_ptr<Session>& session) {
  Session::Service& service = session->service_;
  if (may_attach(*session)) {
    size_t position = clone_for(*session);
    if (position != 0) return serve_attached(worker, session, position);
    service.readers.fetch_sub(1);
    if (service.attached.fetch_sub(1) == 1) busy_sessions_.fetch_sub(1);
    attached_.fetch_sub(1);
  }
  Request request;
  bool sound;
  switch (session->receive(0, worker.buffers, request, sound)) {
    case Session::Received::ended: return finish(session);
    case Session::Received::nothing:
    case Session::Received::interrupted:
      if (service.readers.load() == 0) arm(*session);
      return;
    case Session::Received::request: break;
  }
  int64_t now = now_ns();
  bool close_behind = now - service.last_request_ns.exchange(now, std::memory_order_relaxed) < kBusyGapNs;
  if (close_behind) service.streak.fetch_add(1, std::memory_order_relaxed);
  else service.streak.store(0, std::memory_order_relaxed);
  if (service.readers.load() == 0) arm(*session);
  session->answer(0, worker.buffers, request, sound);
}

// True: this thread now counts as attached to the session, and as its reader.
bool ServicePool::may_attach(Session& session) {
  Session::Service& service = session.service_;
  if (options_.clones_max == 0 || !session.initialized()) return false;
  if (session.cloning_failed_.load(std::memory_order_relaxed) && session.descriptor_count_.load() == 1) return false;
  if (service.attached.load() == 0 && service.streak.load(std::memory_order_relaxed) < kBusyStreak) return false;
  if (crowded()) return false;
  // All busy sessions share the threads that may attach; with too many of them nobody does, which is fair.
  const int budget = static_cast<int>(options_.threads_max) - kPollersReserved;
  const int sessions = std::max(1, busy_sessions_.load() + (service.attached.load() == 0 ? 1 : 0));
  const int share = budget / sessions;
  if (share < 2) {
    crowded_until_ns_.store(now_ns() + kCrowdedNs);
    crowded_.store(true);
    return false;
  }
  if (service.attached.load() >= share) return false;
  if (attached_.fetch_add(1) >= budget) {
    attached_.fetch_sub(1);
    return false;
  }
  service.readers.fetch_add(1);
  if (service.attached.fetch_add(1) == 0) busy_sessions_.fetch_add(1);
  return true;
}

bool ServicePool::crowded() {
  if (!crowded_.load(std::memory_order_relaxed)) return false;
  if (now_ns() < crowded_until_ns_.load()) return true;
  crowded_.store(false);
  return false;
}

// The position of the descriptor the next attached thread reads; 0: none. Clones are made as threads come, and shared when
// there are enough.
size_t ServicePool::clone_for(Session& session) {
  size_t have = session.descriptor_count_.load(std::memory_order_acquire) - 1;
  size_t wanted = std::min<size_t>(static_cast<size_t>(session.service_.attached.load()), options_.clones_max);
  if (have < wanted && !session.cloning_failed_.load(std::memory_order_relaxed)) {
    // Others serve the session while the descriptor store is waited for.
    if (session.deposited()) arm(session);
    if (size_t position = session.add_clone(); position != 0) return position;
  }
  if (have == 0) return 0;
  return 1 + static_cast<size_t>(session.service_.attached.load()) % have;
}

void ServicePool::serve_attached(Worker& worker, const std::shared_ptr<Session>& session, size_t position) {
  Session::Service& service = session->service_;
  {
    // The keeper sleeps while nobody is attached.
    std::lock_guard lock(mutex_);
    worker.released.store(false);
    if (attached_.load() == 1) keeper_wakes_.notify_all();
  }
  Request request;
  bool sound;
  for (;;) {
    service.waiting.fetch_add(1);
    worker.reads.store(worker.reads.load(std::memory_order_relaxed) + 1, std::memory_order_release);
    Session::Received received = session->receive(position, worker.buffers, request, sound);
    worker.reads.store(worker.reads.load(std::memory_order_relaxed) + 1, std::memory_order_release);
    const bool nobody_waits = service.waiting.fetch_sub(1) == 1;
    if (received == Session::Received::ended) {
      finish(session);
      break;
    }
    if (received == Session::Received::request) {
      const bool slow = session->may_take_long(request);
      if (slow) unread(*session);
      else if (nobody_waits && service.attached.load(std::memory_order_relaxed) < options_.attach_threads) arm(*session);
      session->answer(position, worker.buffers, request, sound);
      if (slow) service.readers.fetch_add(1);
    }
    if (stopping_.load(std::memory_order_relaxed) || crowded_.load(std::memory_order_relaxed) || session->ended()) break;
    if (worker.released.load(std::memory_order_relaxed)) {
      service.streak.store(0, std::memory_order_relaxed);
      break;
    }
    // More sessions became busy: give back what is beyond this one's share.
    const int share = (static_cast<int>(options_.threads_max) - kPollersReserved) / std::max(1, busy_sessions_.load(std::memory_order_relaxed));
    if (service.attached.load(std::memory_order_relaxed) > share) break;
  }
  if (service.attached.fetch_sub(1) == 1) busy_sessions_.fetch_sub(1);
  attached_.fetch_sub(1);
  unread(*session);
}

void ServicePool::keep() {
  prepare_thread("galleonfs-keep");
  std::unique_lock lock(mutex_);
  while (!stopping_.load()) {
    if (attached_.load() == 0) {
      keeper_wakes_.wait(lock, [&] { return stopping_.load() || attached_.load() > 0; });
      continue;
    }
    lock.unlock();
    usleep(kTickMs * 1000);
    kick_idle(false);
    lock.lock();
    arm_starved();
  }
}

// Sends threads out of their blocking reads: those that have waited for kIdleTicks, or all.
void ServicePool::kick_idle(bool all) {
  std::lock_guard lock(mutex_);
  for (auto& worker : workers_) {
    uint64_t reads = worker->reads.load(std::memory_order_acquire);
    worker->seen_ticks = reads == worker->seen_reads ? worker->seen_ticks + 1 : 0;
    worker->seen_reads = reads;
    if (reads % 2 == 0 || worker->done.load()) continue;
    if (!all && worker->seen_ticks < kIdleTicks) continue;
    worker->released.store(true);
    pthread_kill(worker->thread.native_handle(), kick_signal());
  }
}

// With mutex_ held. A busy session with nobody waiting, tick after tick, may have all its threads stuck in the device.
void ServicePool::arm_starved() {
  for (auto& [id, session] : sessions_) {
    Session::Service& service = session->service_;
    if (service.attached.load() == 0 || service.waiting.load() > 0) {
      service.starved_ticks.store(0);
    } else if (service.starved_ticks.fetch_add(1) + 1 >= kStarvedTicks) {
      arm(*session);
    }
  }
}

}  // namespace galleonfs::fuse
