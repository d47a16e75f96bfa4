// One volume's mount: its connection to the kernel, what was negotiated over it, and the directory it shows. It owns no
// thread: the service pool reads requests from its descriptors and has them answered here.
//
// A connection has one descriptor from mounting and any number of clones; a reply must go to the descriptor its request
// was read from. The first is non-blocking and watched by epoll; the clones are blocking and read by threads that wait in
// the kernel while the volume is busy. Where there is a descriptor store, every descriptor is deposited before its first
// request counts: the connection before mounting returns, a clone before it is read.
#pragma once
#include <array>
#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "descriptor_store.h"
#include "mount.h"
#include "negotiated.h"
#include "request_buffers.h"
#include "volume_directory.h"

namespace galleonfs::fuse {

// A descriptor of a connection and its index: 0 the one from mounting, then clones in the order they were made.
struct IndexedDescriptor {
  uint32_t index;
  int fd;
};

class Session {
 public:
  static constexpr size_t kDescriptorsMax = 5;

  // From a fresh mount (`negotiated` null: INIT is still to come), or from descriptors another process served.
  // Takes the descriptors; the first is the connection's, the others its clones. `store` may be null and outlives this.
  Session(BlockDevice& device, MountOptions options, std::string device_id,
          const std::vector<IndexedDescriptor>& descriptors, const Negotiated* negotiated, DescriptorStore* store);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  const std::string& mount_point() const noexcept { return options_.mount_point; }
  const std::string& device_id() const noexcept { return device_id_; }  // "major:minor" in mountinfo
  const MountOptions& options() const noexcept { return options_; }
  CounterValues counters() const noexcept { return directory_.counters().values(); }

  void set_readme(std::string text) { directory_.set_readme(std::move(text)); }
  void set_metadata(std::string text) { directory_.set_metadata(std::move(text)); }

  // Makes the kernel ask for `data`'s attributes again, after the volume was resized or turned read-only.
  void invalidate_attributes() noexcept;

  // The connection is over: unmounted, by us or anyone, or aborted.
  bool ended() const noexcept { return ended_.load(std::memory_order_acquire); }

  // For handing the mount over: valid until the session ends.
  std::vector<IndexedDescriptor> descriptors() const;
  Negotiated negotiated() const;

  // True: its descriptors are in a descriptor store.
  bool deposited() const noexcept { return store_ != nullptr; }
  // Puts the connection there. 0, or why the store did not take it.
  int deposit_connection() noexcept;
  // Takes all its descriptors out of there.
  void withdraw() noexcept;

  // Waits for INIT. 0; EPROTO: kernel too old; ENODEV: ended before; ETIMEDOUT.
  int wait_initialized(int timeout_ms) const;
  bool initialized() const noexcept { return initialized_.load(std::memory_order_acquire); }

  enum class Received { request, nothing, interrupted, ended };

  // One read of the descriptor at `position` of descriptors(). `interrupted`: a signal, or the kernel withdrew the request;
  // `nothing`: non-blocking and idle. After `request`, `request` points into `buffers` and answer() must follow.
  Received receive(size_t position, const RequestBuffers& buffers, Request& request, bool& sound) noexcept;
  void answer(size_t position, const RequestBuffers& buffers, const Request& request, bool sound) noexcept;

  // Closes the connection, which must have no thread any more: what waits for it fails.
  void end_unserved() noexcept;

  bool may_take_long(const Request& request) const noexcept { return directory_.may_take_long(request); }

 private:
  friend class ServicePool;
  friend class InFlightRecovery;

  Reply perform(const Request& request, bool sound, const RequestBuffers& buffers) noexcept;
  int init(const Request& request, const RequestBuffers& buffers, size_t& length) noexcept;
  void send(int fd, const RequestBuffers& buffers, uint64_t unique, int error, size_t length) noexcept;
  int invalidate_discarded(const Request& request) noexcept;
  // Makes a clone, has it deposited, and only then shows it to other threads. Its position; 0: another thread is making one, or
  // it cannot be done, now and later.
  size_t add_clone() noexcept;
  // -1: no descriptor, or the store did not take it.
  int open_clone(uint32_t index) noexcept;
  int fd_at(size_t position) const noexcept { return descriptors_[position].fd.load(); }
  void close_descriptors() noexcept;
  void mark_ended() noexcept;

  const MountOptions options_;
  const std::string device_id_;
  DescriptorStore* const store_;  // null: nothing is deposited
  VolumeDirectory directory_;

  mutable std::mutex mutex_;
  mutable std::condition_variable state_changed_;
  Negotiated negotiated_;  // under mutex_
  int init_error_ = 0;     // under mutex_
  std::atomic<bool> initialized_{false};
  std::atomic<bool> ended_{false};

  // Filled from the front, under mutex_; what is filled changes only in close_descriptors.
  struct Descriptor {
    std::atomic<int> fd{-1};
    uint32_t index = 0;
  };
  std::array<Descriptor, kDescriptorsMax> descriptors_;
  std::atomic<size_t> descriptor_count_{0};
  std::mutex cloning_;       // taken before mutex_
  uint32_t next_index_ = 0;  // under cloning_
  std::atomic<bool> cloning_failed_{false};

  // What the service pool keeps here; see service_pool.h.
  struct Service {
    uint64_t id = 0;
    size_t users = 0;                      // threads that hold this session; under the pool's mutex
    bool finished = false;                 // the end was reported; under the pool's mutex
    std::atomic<bool> armed{false};        // epoll will report the next request
    std::atomic<int> attached{0};          // threads staying with this session
    std::atomic<int> readers{0};           // those of them that will read again soon
    std::atomic<int> waiting{0};           // those of them inside read(2)
    std::atomic<int> starved_ticks{0};     // keeper ticks in a row that found nobody waiting
    std::atomic<uint32_t> streak{0};       // requests that followed one another closely
    std::atomic<int64_t> last_request_ns{0};
  } service_;
};

}  // namespace galleonfs::fuse
