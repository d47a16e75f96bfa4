// Memory for direct reads and writes: aligned to 4 KiB.
#pragma once
#include <cstddef>
#include <memory>
#include <new>

namespace galleonfs::disk {

class AlignedBuffer {
 public:
  explicit AlignedBuffer(size_t length)
      : bytes_(static_cast<std::byte*>(::operator new(length, std::align_val_t{kAlignment}))), size_(length) {}
  std::byte* data() { return bytes_.get(); }
  const std::byte* data() const { return bytes_.get(); }
  size_t size() const { return size_; }

 private:
  static constexpr size_t kAlignment = 4096;
  struct Delete {
    void operator()(std::byte* bytes) const { ::operator delete(bytes, std::align_val_t{kAlignment}); }
  };
  std::unique_ptr<std::byte, Delete> bytes_;
  size_t size_;
};

}  // namespace galleonfs::disk
