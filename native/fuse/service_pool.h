// The threads that serve every session of the daemon.
//
// A thread is in one of these places:
//   polling   in epoll_wait, which watches one descriptor of every session (one report per arming, EPOLLONESHOT)
//   serving   a request of a quiet session: read one, arm again, answer, back to polling
//   attached  to a busy session: read (blocking, on a clone), answer, read ...; four system calls fewer per request
//             than polling, and the kernel wakes one waiting thread per request instead of all
// The keeper, one more thread, ticks only while some thread is attached: a thread that waited too long is sent a signal,
// which ends its read, and goes back to polling; a busy session none of whose threads is waiting gets armed, so that
// polling threads join it.
//
// Nobody starves, because a session with a pending request always has one of: `armed` (a poller will be told), or
// `readers` > 0 (an attached thread that reads, or is about to). Before a request that may take long, its thread stops
// counting as a reader; whoever brings `readers` to 0 arms. Some threads never attach, so there are always pollers; when
// all of those are busy, one more is started, up to threads_max.
//
// Locks, in order: mutex_, then a session's own.
#pragma once
#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include "session.h"

namespace galleonfs::fuse {

struct PoolOptions {
  size_t threads_max = 16;  // at least 4
  size_t threads_min = 2;
  size_t clones_max = 2;    // further descriptors of a busy session; 0: never attach
  int attach_threads = 2;   // threads a busy session gets at once; more only while all of them are seen to be working
  std::function<void(Session&)> on_ended;  // on a pool thread, without locks; must not stop the pool
};

class ServicePool {
 public:
  // `slots` outlives this and has at least threads_max of them.
  ServicePool(PoolOptions options, RequestSlots& slots);
  ~ServicePool();

  // 0, or why no thread or descriptor could be had.
  int start();
  // Requests being answered are finished; then the threads are gone. Sessions stay as they are.
  void stop();

  int add(const std::shared_ptr<Session>& session);
  size_t thread_count() const;

 private:
  struct Worker {
    explicit Worker(RequestSlots& slots) : buffers(slots) {}
    std::thread thread;
    RequestBuffers buffers;  // given back when the thread leaves, before it is joined
    std::atomic<uint64_t> reads{0};  // odd while inside a blocking read
    std::atomic<bool> released{false};
    std::atomic<bool> done{false};
    uint64_t seen_reads = 0;  // keeper only
    int seen_ticks = 0;       // keeper only
  };

  void run(Worker& worker);
  void keep();
  void kick_idle(bool all);
  void arm_starved();

  bool spawn_locked();
  void leave_polling();
  bool retire(Worker& worker);
  void sign_off_locked(Worker& worker);
  std::shared_ptr<Session> enter(uint64_t id);
  void leave(const std::shared_ptr<Session>& session);
  void finish(const std::shared_ptr<Session>& session);

  void serve_one(Worker& worker, const std::shared_ptr<Session>& session);
  bool may_attach(Session& session);
  bool crowded();
  size_t clone_for(Session& session);
  void serve_attached(Worker& worker, const std::shared_ptr<Session>& session, size_t position);
  void arm(Session& session);
  void unread(Session& session);

  const PoolOptions options_;
  RequestSlots& slots_;
  int epoll_ = -1;
  int wake_ = -1;  // an eventfd, readable from stop() on
  std::atomic<bool> stopping_{false};

  mutable std::mutex mutex_;
  std::condition_variable keeper_wakes_;
  std::vector<std::unique_ptr<Worker>> workers_;                        // under mutex_
  std::unordered_map<uint64_t, std::shared_ptr<Session>> sessions_;    // under mutex_
  uint64_t next_id_ = 1;                                               // under mutex_
  size_t live_ = 0;                                                    // threads not done; under mutex_
  std::atomic<int> polling_{0};
  std::atomic<int> attached_{0};       // threads, over all sessions
  std::atomic<int> busy_sessions_{0};  // sessions with an attached thread
  std::atomic<bool> crowded_{false};   // more busy sessions than threads to attach to them: all are served by pollers
  std::atomic<int64_t> crowded_until_ns_{0};
  std::thread keeper_;
};

}  // namespace galleonfs::fuse
