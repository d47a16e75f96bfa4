#include "fake_disk.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace galleonfs::disk {

class FakeFile final : public File {
 public:
  FakeFile(FakeStorage& storage, std::string name, std::shared_ptr<FakeStorage::Data> data)
      : storage_(storage), life_(storage.life_), name_(std::move(name)), data_(std::move(data)) {}

  int read(uint64_t offset, void* into, size_t length) noexcept override {
    const std::lock_guard lock(storage_.mutex_);
    if (const int error = storage_.fault(life_, FakeOperation::read, name_, offset, length)) return error;
    storage_.read(*data_, offset, into, length);
    return 0;
  }
  int read_medium(uint64_t offset, void* into, size_t length) noexcept override {
    const std::lock_guard lock(storage_.mutex_);
    if (const int error = storage_.fault(life_, FakeOperation::read, name_, offset, length)) return error;
    // As O_DIRECT does, which writes back what is dirty and drops the rest from the cache.
    for (const auto& [sector, medium] : data_->falsely_clean) data_->sectors[sector] = medium;
    data_->falsely_clean.clear();
    storage_.read(*data_, offset, into, length);
    for (const auto& [at, mask] : data_->rotten) {
      if (offset <= at && at < offset + length) static_cast<std::byte*>(into)[at - offset] ^= std::byte(mask);
    }
    return 0;
  }
  int write(uint64_t offset, const void* from, size_t length) noexcept override {
    storage_.interlude(FakeOperation::write, name_, offset, length);
    const std::lock_guard lock(storage_.mutex_);
    if (const int outcome = storage_.fault(life_, FakeOperation::write, name_, offset, length)) {
      return storage_.faulty_write(*data_, outcome, offset, from, length);
    }
    if (const int error = storage_.resize(*data_, std::max(data_->size, offset + length))) return error;
    storage_.write(*data_, offset, from, length);
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
      if (life_ != storage_.life_) return error;
      data_->falsely_clean.merge(data_->durable_before);
      data_->durable_before.clear();
      return error;
    }
    data_->durable_before.clear();
    return 0;
  }
  void start_writeback(uint64_t, uint64_t) noexcept override {}
  int reserve(uint64_t length) noexcept override {
    const std::lock_guard lock(storage_.mutex_);
    if (const int error = storage_.fault(life_, FakeOperation::reserve, name_, 0, length)) return error;
    return storage_.resize(*data_, std::max(data_->size, length));
  }
  int size(uint64_t* bytes) noexcept override {
    const std::lock_guard lock(storage_.mutex_);
    *bytes = data_->size;
    return 0;
  }

 private:
  FakeStorage& storage_;
  const uint64_t life_;
  const std::string name_;
  const std::shared_ptr<FakeStorage::Data> data_;
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
    auto found = storage_.files_.find(name);
    if (found == storage_.files_.end()) {
      if (!create) return ENOENT;
      if (const int error = storage_.fault(life_, FakeOperation::create, name, 0, 0)) return error;
      found = storage_.files_.emplace(name, std::make_shared<FakeStorage::Data>()).first;
    } else if (const int error = storage_.fault(life_, FakeOperation::open, name, 0, 0)) {
      return error;
    }
    *file = std::make_unique<FakeFile>(storage_, name, found->second);
    return 0;
  }
  int remove(const std::string& name) noexcept override {
    const std::lock_guard lock(storage_.mutex_);
    const auto found = storage_.files_.find(name);
    if (found == storage_.files_.end()) return ENOENT;
    if (const int error = storage_.fault(life_, FakeOperation::remove, name, 0, 0)) return error;
    storage_.used_ -= found->second->size;
    if (found->second->name_durable) storage_.removed_[name] = found->second;
    storage_.files_.erase(found);
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
    for (auto& [name, data] : storage_.files_) data->name_durable = true;
    storage_.removed_.clear();
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

int FakeStorage::resize(Data& data, uint64_t size) {
  if (size > data.size && used_ + (size - data.size) > capacity_) return ENOSPC;
  used_ += size - data.size;
  data.size = size;
  return 0;
}

void FakeStorage::write(Data& data, uint64_t offset, const void* from, size_t length) {
  writes_++;
  const auto* at = static_cast<const std::byte*>(from);
  while (length > 0) {
    const uint64_t sector = offset / kSector;
    const size_t within = offset % kSector;
    const size_t n = std::min(length, kSector - within);
    Sector& bytes = data.sectors[sector];
    if (const auto medium = data.falsely_clean.extract(sector)) {
      data.durable_before.emplace(sector, medium.mapped());
    } else {
      data.durable_before.emplace(sector, bytes);
    }
    std::erase_if(data.rotten, [sector](const auto& byte) { return byte.first / kSector == sector; });
    std::memcpy(bytes.data() + within, at, n);
    at += n;
    offset += n;
    length -= n;
  }
}

int FakeStorage::faulty_write(Data& data, int outcome, uint64_t offset, const void* from, size_t length) {
  if (outcome > 0) return outcome;
  if (outcome == kWriteLost) return 0;
  if (outcome == kWriteMisdirected) {
    if (offset + 4096 + length > data.size) return EIO;
    write(data, offset + 4096, from, length);
    return 0;
  }
  const size_t half = std::min<uint64_t>(length / 2, data.size > offset ? data.size - offset : 0);
  write(data, offset, from, half);
  return -256 - outcome;
}

void FakeStorage::read(const Data& data, uint64_t offset, void* into, size_t length) const {
  auto* at = static_cast<std::byte*>(into);
  while (length > 0) {
    const size_t within = offset % kSector;
    const size_t n = std::min(length, kSector - within);
    if (const auto found = data.sectors.find(offset / kSector); found != data.sectors.end()) {
      std::memcpy(at, found->second.data() + within, n);
    } else {
      std::memset(at, 0, n);
    }
    at += n;
    offset += n;
    length -= n;
  }
}

void FakeStorage::cut_power(uint64_t seed) {
  const std::lock_guard lock(mutex_);
  std::mt19937_64 random(seed);
  for (auto& [name, data] : removed_) {
    if (random() % 2 == 0 && !files_.contains(name)) {
      files_[name] = data;
      used_ += data->size;
    }
  }
  removed_.clear();
  for (auto file = files_.begin(); file != files_.end();) {
    Data& data = *file->second;
    // In an order that depends on the seed alone.
    std::map<uint64_t, Sector> unsynced(data.durable_before.begin(), data.durable_before.end());
    const uint64_t keep = random() % 4;  // now and then nothing or everything
    for (const auto& [sector, before] : unsynced) {
      if (keep == 0 || (keep != 3 && random() % 2 == 0)) data.sectors[sector] = before;
    }
    data.durable_before.clear();
    for (const auto& [sector, medium] : data.falsely_clean) data.sectors[sector] = medium;
    data.falsely_clean.clear();
    const bool vanishes = !data.name_durable && random() % 2 == 0;
    if (vanishes) used_ -= data.size;
    data.name_durable = true;
    file = vanishes ? files_.erase(file) : std::next(file);
  }
  life_++;
  locked_ = false;
}

void FakeStorage::flip(const std::string& name, uint64_t offset, uint8_t mask) {
  const std::lock_guard lock(mutex_);
  files_.at(name)->sectors[offset / kSector][offset % kSector] ^= std::byte(mask);
}

void FakeStorage::rot(const std::string& name, uint64_t offset, uint8_t mask) {
  const std::lock_guard lock(mutex_);
  files_.at(name)->rotten[offset] = mask;
}

void FakeStorage::set_capacity(uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  capacity_ = bytes;
}

uint64_t FakeStorage::used_bytes() const {
  const std::lock_guard lock(mutex_);
  return used_;
}

std::vector<std::string> FakeStorage::names() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> names;
  for (const auto& [name, data] : files_) names.push_back(name);
  return names;
}

std::vector<std::byte> FakeStorage::contents(const std::string& name, uint64_t length) const {
  const std::lock_guard lock(mutex_);
  const Data& data = *files_.at(name);
  std::vector<std::byte> bytes(std::min(data.size, length));
  read(data, 0, bytes.data(), bytes.size());
  return bytes;
}

}  // namespace galleonfs::disk
