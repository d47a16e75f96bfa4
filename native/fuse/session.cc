#include "session.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "page_invalidation.h"

namespace galleonfs::fuse {

Session::Session(BlockDevice& device, MountOptions options, std::string device_id,
                 const std::vector<IndexedDescriptor>& descriptors, const Negotiated* negotiated, DescriptorStore* store)
    : options_(std::move(options)),
      device_id_(std::move(device_id)),
      store_(store != nullptr && store->present() && options_.key != 0 ? store : nullptr),
      directory_(device, options_) {
  size_t count = 0;
  for (const IndexedDescriptor& descriptor : descriptors) {
    next_index_ = std::max(next_index_, descriptor.index + 1);
    if (count == kDescriptorsMax) {
      close(descriptor.fd);
      continue;
    }
    int flags = fcntl(descriptor.fd, F_GETFL);
    fcntl(descriptor.fd, F_SETFL, count == 0 ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
    descriptors_[count].fd.store(descriptor.fd, std::memory_order_relaxed);
    descriptors_[count++].index = descriptor.index;
  }
  descriptor_count_.store(count, std::memory_order_release);
  if (negotiated != nullptr) {
    negotiated_ = *negotiated;
    directory_.set_direct_io(options_.cache == CacheMode::direct && negotiated_.allows_direct_mmap());
    initialized_.store(true, std::memory_order_release);
  }
}

Session::~Session() { close_descriptors(); }

void Session::close_descriptors() noexcept {
  std::lock_guard lock(mutex_);
  for (Descriptor& descriptor : descriptors_) {
    int fd = descriptor.fd.exchange(-1);
    if (fd >= 0) close(fd);
  }
  descriptor_count_.store(0, std::memory_order_release);
}

void Session::mark_ended() noexcept {
  std::lock_guard lock(mutex_);
  ended_.store(true, std::memory_order_release);
  state_changed_.notify_all();
}

void Session::end_unserved() noexcept {
  mark_ended();
  close_descriptors();
}

std::vector<IndexedDescriptor> Session::descriptors() const {
  std::lock_guard lock(mutex_);
  std::vector<IndexedDescriptor> all;
  for (size_t i = 0; i < descriptor_count_.load(std::memory_order_relaxed); i++) all.push_back({descriptors_[i].index, fd_at(i)});
  return all;
}

int Session::deposit_connection() noexcept {
  if (store_ == nullptr) return 0;
  return store_->deposit(connection_name(options_.key, 0), fd_at(0));
}

void Session::withdraw() noexcept {
  if (store_ == nullptr) return;
  std::lock_guard lock(cloning_);
  for (uint32_t index = 0; index < next_index_; index++) store_->remove(connection_name(options_.key, index));
}

Negotiated Session::negotiated() const {
  std::lock_guard lock(mutex_);
  return negotiated_;
}

int Session::wait_initialized(int timeout_ms) const {
  std::unique_lock lock(mutex_);
  bool done = state_changed_.wait_until(lock, std::chrono::system_clock::now() + std::chrono::milliseconds(timeout_ms),
                                        [&] { return initialized() || init_error_ != 0 || ended(); });
  if (!done) return ETIMEDOUT;
  if (init_error_ != 0) return init_error_;
  return initialized() ? 0 : ENODEV;
}

int Session::open_clone(uint32_t index) noexcept {
  uint32_t source = static_cast<uint32_t>(fd_at(0));
  int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
  if (fd < 0) return -1;
  if (ioctl(fd, FUSE_DEV_IOC_CLONE, &source) == 0) {
    if (store_ == nullptr) return fd;
    const std::string name = connection_name(options_.key, index);
    if (store_->deposit(name, fd) == 0) return fd;
    store_->remove(name);
  }
  close(fd);
  return -1;
}

size_t Session::add_clone() noexcept {
  std::unique_lock cloning(cloning_, std::try_to_lock);
  if (!cloning || cloning_failed_.load(std::memory_order_relaxed)) return 0;
  const size_t position = descriptor_count_.load(std::memory_order_acquire);
  int fd = position == kDescriptorsMax ? -1 : open_clone(next_index_);
  if (fd < 0) {
    cloning_failed_.store(true, std::memory_order_relaxed);
    return 0;
  }
  std::lock_guard lock(mutex_);
  descriptors_[position].index = next_index_++;
  descriptors_[position].fd.store(fd);
  descriptor_count_.store(position + 1, std::memory_order_release);
  return position;
}

Session::Received Session::receive(size_t position, const RequestBuffers& buffers, Request& request, bool& sound) noexcept {
  const int fd = fd_at(position);
  for (;;) {
    buffers.begin_read(options_.key, descriptors_[position].index);
    ssize_t n = ::read(fd, buffers.request(), RequestBuffers::request_capacity());
    if (n < 0) {
      switch (errno) {
        case EAGAIN: return Received::nothing;
        case EINTR:
        case ENOENT: return Received::interrupted;
        // ENODEV: unmounted. ECONNABORTED, EPERM, EBADF: aborted, never connected, or a bug; none can be served.
        default: return Received::ended;
      }
    }
    switch (parse_request(buffers.request(), static_cast<size_t>(n), request)) {
      case Parsed::ok: sound = true; return Received::request;
      case Parsed::bad_arguments: sound = false; return Received::request;
      case Parsed::no_header: continue;
    }
  }
}

Reply Session::perform(const Request& request, bool sound, const RequestBuffers& buffers) noexcept {
  const OpGroup group = group_of(request);
  Counters& counters = directory_.counters();
  counters.begin(group);
  Reply reply;
  if (!sound) {
    reply.error = EINVAL;
  } else if (request.header.opcode == FUSE_INIT) {
    reply.error = init(request, buffers, reply.length);
  } else if (request.header.opcode == FUSE_INTERRUPT) {
    // Requests are short or must not stop half-way: the kernel is told not to send this again.
    reply.error = ENOSYS;
  } else if (request.header.opcode != FUSE_DESTROY) {
    reply = directory_.serve(request, buffers.reply_body());
    if (reply.error == 0) reply.error = invalidate_discarded(request);
  }
  // Counted before it is sent, so that whoever sees the effect sees the count.
  counters.end(group, reply.error != 0);
  return reply;
}

void Session::answer(size_t position, const RequestBuffers& buffers, const Request& request, bool sound) noexcept {
  if (wants_no_reply(request.header.opcode)) return buffers.end_request();
  Reply reply = perform(request, sound, buffers);
  if (has_effect(request.header.opcode)) buffers.keep_result(reply.error, reply.error ? 0 : reply.length);
  send(fd_at(position), buffers, request.header.unique, reply.error, reply.length);
  buffers.end_request();
  if (request.header.opcode == FUSE_INIT) {
    std::lock_guard lock(mutex_);
    if (reply.error) init_error_ = reply.error;
    else initialized_.store(true, std::memory_order_release);
    state_changed_.notify_all();
  }
}

int Session::init(const Request& request, const RequestBuffers& buffers, size_t& length) noexcept {
  Negotiated negotiated;
  fuse_init_out out;
  if (int error = negotiate(request.init, options_, negotiated, out)) return error;
  {
    std::lock_guard lock(mutex_);
    negotiated_ = negotiated;
  }
  // Without mmap beside direct I/O, programs that map the file would fail: cached is then the better default.
  directory_.set_direct_io(options_.cache == CacheMode::direct && negotiated.allows_direct_mmap());
  std::memcpy(buffers.reply_body(), &out, sizeof out);
  length = sizeof out;
  return 0;
}

void Session::send(int fd, const RequestBuffers& buffers, uint64_t unique, int error, size_t length) noexcept {
  fuse_out_header* header = buffers.reply_header();
  header->unique = unique;
  header->error = -error;
  header->len = static_cast<uint32_t>(sizeof *header + (error ? 0 : length));
  if (::write(fd, header, header->len) >= 0) return;
  // ENOENT: the request was withdrawn; ENODEV, EPERM: the connection is over, which the next read reports. Anything
  // else (ENOMEM) must not leave the caller waiting for ever.
  if (errno == ENOENT || errno == ENODEV || errno == EPERM) return;
  header->error = -EIO;
  header->len = sizeof *header;
  (void)!::write(fd, header, header->len);
}

void Session::invalidate_attributes() noexcept {
  struct {
    fuse_out_header header;
    fuse_notify_inval_inode_out body;
  } message{};
  message.header.len = sizeof message;
  message.header.error = FUSE_NOTIFY_INVAL_INODE;
  message.body.ino = kDataNode;
  message.body.off = -1;  // attributes only, which never waits
  std::lock_guard lock(mutex_);  // keeps close_descriptors away
  if (int fd = fd_at(0); fd >= 0) (void)!::write(fd, &message, sizeof message);
}

// The size did not change, so the kernel keeps the pages it has (of cached reads and of mmaps) although their content is
// gone. Before the reply, so that who truncated reads zeros.
int Session::invalidate_discarded(const Request& request) noexcept {
  uint64_t from;
  return directory_.discarded_by_truncate(request, from) ? invalidate_pages(fd_at(0), kDataNode, from) : 0;
}

}  // namespace galleonfs::fuse
