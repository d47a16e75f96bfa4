#include "segment_files.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>

namespace galleonfs::store {

std::string SegmentFiles::name(uint32_t number) {
  char text[32];
  std::snprintf(text, sizeof text, "segment-%08u", number);
  return text;
}

bool SegmentFiles::parse(const std::string& name, uint32_t* number) {
  constexpr std::string_view prefix = "segment-";
  if (name.size() < prefix.size() + 8 || name.compare(0, prefix.size(), prefix) != 0) return false;
  const char* end = name.data() + name.size();
  const auto [at, error] = std::from_chars(name.data() + prefix.size(), end, *number);
  return error == std::errc() && at == end;
}

void SegmentFiles::load(std::vector<uint32_t> free, std::vector<uint32_t> pending, uint32_t next_number) {
  free_ = std::move(free);
  pending_ = std::move(pending);
  next_number_ = next_number;
}

int SegmentFiles::open(uint32_t number, std::shared_ptr<disk::File>* file) {
  const std::lock_guard lock(mutex_);
  if (const auto found = open_.find(number); found != open_.end()) {
    found->second.recent = true;
    *file = found->second.file;
    return 0;
  }
  std::unique_ptr<disk::File> opened;
  int error = disk_.open(name(number), false, &opened);
  if (error == EMFILE || error == ENFILE) {
    // What is only cached makes place.
    close_some(0);
    error = disk_.open(name(number), false, &opened);
  }
  if (error != 0) return error;
  *file = std::move(opened);
  keep_open(number, *file);
  return 0;
}

// Under the mutex.
void SegmentFiles::keep_open(uint32_t number, const std::shared_ptr<disk::File>& file) {
  close_some(std::min<size_t>(kOpenMax, share_.open_files()) - 1);
  open_[number] = {file, true};
}

// Under the mutex. Those used since last asked go last.
void SegmentFiles::close_some(size_t leave) {
  for (auto at = open_.begin(); open_.size() > leave && at != open_.end();) {
    if (at->second.recent) {
      at->second.recent = false;
      ++at;
    } else {
      at = open_.erase(at);
    }
  }
  while (open_.size() > leave) open_.erase(open_.begin());
}

void SegmentFiles::close_idle() {
  constexpr size_t few = 2;
  const std::lock_guard lock(mutex_);
  close_some(few);
}

namespace {

int write_zeros(disk::File& file, uint64_t length) {
  constexpr size_t chunk = 4 << 20;
  alignas(4096) static const std::byte zeros[chunk] = {};
  for (uint64_t at = 0; at < length; at += chunk) {
    if (const int error = file.write_direct(at, zeros, std::min<uint64_t>(chunk, length - at))) return error;
  }
  return 0;
}

}  // namespace

int SegmentFiles::create(uint32_t number, bool written, std::shared_ptr<disk::File>* file) {
  std::unique_ptr<disk::File> created;
  int error = disk_.open(name(number), true, &created);
  if (error == 0) error = created->reserve(file_bytes_);
  if (error == 0 && written) error = write_zeros(*created, file_bytes_);
  // Its length and extents, then its name: what a later fdatasync of its data may rely on.
  if (error == 0) error = created->sync();
  if (error == 0) error = disk_.sync_directory();
  if (error != 0) {
    created.reset();
    (void)disk_.remove(name(number));
    return error;
  }
  *file = std::move(created);
  if (!written) {
    const std::lock_guard lock(mutex_);
    unwritten_.insert(number);
  }
  return 0;
}

void SegmentFiles::filled(uint32_t number) {
  const std::lock_guard lock(mutex_);
  unwritten_.erase(number);
}

int SegmentFiles::write_ahead(size_t files) {
  for (size_t i = 0; i < files; i++) {
    uint32_t number = 0;
    {
      // Out of the list while it is written: take() hands out from the back.
      const std::lock_guard lock(mutex_);
      if (free_.size() <= i) return 0;
      number = free_[free_.size() - 1 - i];
      if (!unwritten_.contains(number)) continue;
      std::erase(free_, number);
    }
    std::shared_ptr<disk::File> file;
    int error = open(number, &file);
    if (error == 0) error = write_zeros(*file, file_bytes_);
    if (error == 0) error = file->sync();
    const std::lock_guard lock(mutex_);
    if (error == 0) unwritten_.erase(number);
    free_.push_back(number);
    if (error != 0) return error;
  }
  return 0;
}

void SegmentFiles::give_back(uint32_t number) {
  const std::lock_guard lock(mutex_);
  free_.insert(free_.begin(), number);
}

int SegmentFiles::take(Purpose purpose, uint32_t* number, std::shared_ptr<disk::File>* file, bool* last) {
  *last = false;
  const auto open_taken = [&] {
    const int error = open(*number, file);
    if (error != 0) give_back(*number);
    return error;
  };
  const auto pop_free = [&](size_t leave) {
    const std::lock_guard lock(mutex_);
    if (free_.size() <= leave) return false;
    *number = free_.back();
    free_.pop_back();
    return true;
  };
  if (pop_free(1)) return open_taken();
  *number = next_number_.fetch_add(1);
  const int error = create(*number, false, file);
  if (error == 0) {
    const std::lock_guard lock(mutex_);
    keep_open(*number, *file);
    return 0;
  }
  if (purpose == Purpose::write || !pop_free(0)) return error;
  *last = true;
  return open_taken();
}

int SegmentFiles::prepare(size_t wanted, bool written) {
  if (free_count() >= wanted) return 0;
  const uint32_t number = next_number_.fetch_add(1);
  std::shared_ptr<disk::File> file;
  if (const int error = create(number, written, &file)) return error;
  const std::lock_guard lock(mutex_);
  free_.insert(free_.begin(), number);
  return 0;
}

void SegmentFiles::trim(size_t keep) {
  for (;;) {
    uint32_t number = 0;
    {
      const std::lock_guard lock(mutex_);
      if (free_.size() <= keep) return;
      number = free_.front();
      free_.erase(free_.begin());
      open_.erase(number);
      unwritten_.erase(number);
    }
    (void)disk_.remove(name(number));
  }
}

void SegmentFiles::committed(Epochs& epochs) {
  if (!pending_.empty()) {
    epochs.retire([this, files = std::move(pending_)] {
      const std::lock_guard lock(mutex_);
      free_.insert(free_.end(), files.begin(), files.end());
    });
  }
  pending_ = std::move(freed_now_);
  freed_now_.clear();
}

size_t SegmentFiles::free_count() const {
  const std::lock_guard lock(mutex_);
  return free_.size();
}

}  // namespace galleonfs::store
