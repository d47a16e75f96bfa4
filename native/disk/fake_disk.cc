#include "fake_disk.h"

#include <algorithm>
#include <cerrno>
#include <random>

namespace galleonfs::disk {

class FakeFile final : public File {
 public:
  FakeFile(FakeStorage& storage, std::string name, uint32_t inode)
      : storage_(storage), life_(storage.life_), name_(std::move(name)), inode_(inode) {}

  int read(uint64_t offset, void* into, size_t length) noexcept override {
    const std::lock_guard lock(storage_.mutex_);
    if (const int error = storage_.fault(life_, FakeOperation::read, name_, offset, length)) return error;
    storage_.medium_.read(inode_, offset, into, length);
    return 0;
  }
  int read_medium(uint64_t offset, void* into, size_t length) noexcept override {
    const std::lock_guard lock(storage_.mutex_);
    if (const int error = storage_.fault(life_, FakeOperation::read, name_, offset, length)) return error;
    storage_.medium_.read_medium(inode_, offset, into, length);
    return 0;
  }
  int write(uint64_t offset, const void* from, size_t length) noexcept override {
    storage_.interlude(FakeOperation::write, name_, offset, length);
    const std::lock_guard lock(storage_.mutex_);
    const auto* bytes = static_cast<const std::byte*>(from);
    if (const int outcome = storage_.fault(life_, FakeOperation::write, name_, offset, length)) {
      return storage_.faulty_write(outcome, name_, inode_, offset, bytes, length);
    }
    if (const int error = storage_.room_for(inode_, offset + length)) return error;
    storage_.write(name_, inode_, offset, bytes, length);
    return 0;
  }
  int write_direct(uint64_t offset, const void* from, size_t length) noexcept override {
    return write(offset, from, length);
  }
  void expect_small_writes(uint64_t, uint64_t) noexcept override {}
  void end_small_writes() noexcept override {}
  int sync() noexcept override {
    storage_.interlude(FakeOperation::sync, name_, 0, 0);
    const std::lock_guard lock(storage_.mutex_);
    if (const int error = storage_.fault(life_, FakeOperation::sync, name_, 0, 0)) {
      if (life_ == storage_.life_) storage_.medium_.fail_sync(inode_);
      return error;
    }
    storage_.apply({FakeOperation::sync, inode_, name_, 0, 0, {}});
    return 0;
  }
  void start_writeback(uint64_t, uint64_t) noexcept override {}
  int reserve(uint64_t length) noexcept override {
    const std::lock_guard lock(storage_.mutex_);
    if (const int error = storage_.fault(life_, FakeOperation::reserve, name_, 0, length)) return error;
    if (const int error = storage_.room_for(inode_, length)) return error;
    storage_.apply({FakeOperation::reserve, inode_, name_, 0, length, {}});
    return 0;
  }
  int size(uint64_t* bytes) noexcept override {
    const std::lock_guard lock(storage_.mutex_);
    *bytes = storage_.medium_.size(inode_);
    return 0;
  }

 private:
  FakeStorage& storage_;
  const uint64_t life_;
  const std::string name_;
  const uint32_t inode_;
};

class FakeDisk final : public Disk {
 public:
  explicit FakeDisk(FakeStorage& storage) : storage_(storage), life_(storage.life_) {}
  ~FakeDisk() override {
    const std::lock_guard lock(storage_.mutex_);
    if (locked_ && life_ == storage_.life_) storage_.locked_ = false;
  }
  FakeDisk(const FakeDisk&) = delete;
  FakeDisk& operator=(const FakeDisk&) = delete;

  int open(const std::string& name, bool create, std::unique_ptr<File>* file) noexcept override {
    const std::lock_guard lock(storage_.mutex_);
    if (storage_.medium_.find(name) == 0) {
      if (!create) return ENOENT;
      if (const int error = storage_.fault(life_, FakeOperation::create, name, 0, 0)) return error;
      storage_.apply({FakeOperation::create, storage_.medium_.next_inode(), name, 0, 0, {}});
    } else if (const int error = storage_.fault(life_, FakeOperation::open, name, 0, 0)) {
      return error;
    }
    *file = std::make_unique<FakeFile>(storage_, name, storage_.medium_.find(name));
    return 0;
  }
  int remove(const std::string& name) noexcept override {
    const std::lock_guard lock(storage_.mutex_);
    const uint32_t inode = storage_.medium_.find(name);
    if (inode == 0) return ENOENT;
    if (const int error = storage_.fault(life_, FakeOperation::remove, name, 0, 0)) return error;
    storage_.apply({FakeOperation::remove, inode, name, 0, 0, {}});
    return 0;
  }
  int list(std::vector<std::string>* names) noexcept override {
    {
      const std::lock_guard lock(storage_.mutex_);
      if (const int error = storage_.fault(life_, FakeOperation::list, "", 0, 0)) return error;
    }
    *names = storage_.names();
    return 0;
  }
  int sync_directory() noexcept override {
    const std::lock_guard lock(storage_.mutex_);
    if (const int error = storage_.fault(life_, FakeOperation::sync_directory, "", 0, 0)) return error;
    storage_.apply({FakeOperation::sync_directory, 0, {}, 0, 0, {}});
    return 0;
  }
  int lock() noexcept override {
    const std::lock_guard lock(storage_.mutex_);
    if (storage_.locked_ && !locked_) return EBUSY;
    storage_.locked_ = locked_ = true;
    return 0;
  }
  std::string path() const override { return "(fake disk)"; }

 private:
  FakeStorage& storage_;
  const uint64_t life_;
  bool locked_ = false;
};

std::unique_ptr<Disk> FakeStorage::attach() { return std::make_unique<FakeDisk>(*this); }

void FakeStorage::set_fault(Fault fault) {
  const std::lock_guard lock(mutex_);
  fault_ = std::move(fault);
}

void FakeStorage::set_interlude(Interlude interlude) {
  const std::lock_guard lock(mutex_);
  interlude_ = std::move(interlude);
}

void FakeStorage::set_lie(FakeMedium::Lie lie) {
  const std::lock_guard lock(mutex_);
  lie_ = std::move(lie);
}

void FakeStorage::record_to(std::vector<DiskRecord>* log) {
  const std::lock_guard lock(mutex_);
  log_ = log;
}

void FakeStorage::kill() {
  const std::lock_guard lock(mutex_);
  life_++;
  locked_ = false;
}

int FakeStorage::fault(uint64_t life, FakeOperation operation, const std::string& name, uint64_t offset,
                       uint64_t length) const {
  if (life != life_) return EIO;
  return fault_ ? fault_(operation, name, offset, length) : 0;
}

int FakeStorage::room_for(uint32_t inode, uint64_t size) const {
  if (capacity_ == UINT64_MAX) return 0;
  const uint64_t held = medium_.size(inode);
  return size > held && medium_.used_bytes() + (size - held) > capacity_ ? ENOSPC : 0;
}

void FakeStorage::write(const std::string& name, uint32_t inode, uint64_t offset, const std::byte* from, size_t length) {
  writes_++;
  apply({FakeOperation::write, inode, name, offset, length, std::vector<std::byte>(from, from + length)});
}

int FakeStorage::faulty_write(int outcome, const std::string& name, uint32_t inode, uint64_t offset,
                              const std::byte* from, size_t length) {
  const uint64_t size = medium_.size(inode);
  if (outcome > 0) return outcome;
  if (outcome == kWriteLost) return 0;
  if (outcome == kWriteMisdirected) {
    if (offset + 4096 + length > size) return EIO;
    write(name, inode, offset + 4096, from, length);
    return 0;
  }
  write(name, inode, offset, from, std::min<uint64_t>(length / 2, size > offset ? size - offset : 0));
  return -256 - outcome;
}

void FakeStorage::apply(DiskRecord record) {
  medium_.apply(record, lie_);
  if (log_ != nullptr) log_->push_back(std::move(record));
}

void FakeStorage::cut_power(uint64_t seed) {
  const std::lock_guard lock(mutex_);
  std::mt19937_64 random(seed);
  const uint64_t keep = random() % 4;  // now and then nothing or everything
  const std::vector<FakeMedium::Choice> choices = medium_.choices();
  std::vector<uint32_t> picks;
  for (const FakeMedium::Choice& choice : choices) {
    const auto newest = static_cast<uint32_t>(choice.values.size() - 1);
    picks.push_back(keep == 0 ? 0 : keep == 3 ? newest : static_cast<uint32_t>(random() % (newest + 1)));
  }
  medium_ = medium_.cut(choices, picks);
  life_++;
  locked_ = false;
}

void FakeStorage::flip(const std::string& name, uint64_t offset, uint8_t mask) {
  const std::lock_guard lock(mutex_);
  medium_.flip(medium_.find(name), offset, mask);
}

void FakeStorage::rot(const std::string& name, uint64_t offset, uint8_t mask) {
  const std::lock_guard lock(mutex_);
  medium_.rot(medium_.find(name), offset, mask);
}

void FakeStorage::set_capacity(uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  capacity_ = bytes;
}

uint64_t FakeStorage::used_bytes() const {
  const std::lock_guard lock(mutex_);
  return medium_.used_bytes();
}

std::vector<std::string> FakeStorage::names() const {
  const std::lock_guard lock(mutex_);
  return medium_.names();
}

std::vector<std::byte> FakeStorage::contents(const std::string& name, uint64_t length) const {
  const std::lock_guard lock(mutex_);
  const uint32_t inode = medium_.find(name);
  std::vector<std::byte> bytes(std::min(medium_.size(inode), length));
  medium_.read(inode, 0, bytes.data(), bytes.size());
  return bytes;
}

FakeMedium FakeStorage::medium() const {
  const std::lock_guard lock(mutex_);
  return medium_;
}

}  // namespace galleonfs::disk
