#include "map_file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "page_chain.h"
#include "summary.h"

namespace galleonfs::store {
namespace {

constexpr uint64_t kGrowthPages = 256;
constexpr size_t kStagedMax = 256;

}  // namespace

MapFile::MapFile(std::unique_ptr<disk::File> file, PageCache& cache, CacheCounters& counters, DamageLog& damage)
    : file_(std::move(file)),
      cache_(cache),
      counters_(counters),
      damage_(damage),
      cache_file_(cache.new_file()) {
  uint64_t bytes = 0;
  if (file_->size(&bytes) == 0) pages_ = reserved_pages_ = bytes / kPageBytes;
}

bool MapFile::load_bitmap(uint64_t pages, std::span<const uint64_t> used_words,
                          std::span<const uint64_t> pending) {
  uint64_t bytes = 0;
  if (file_->size(&bytes) != 0 || pages < 1 || pages > bytes / kPageBytes) return false;
  if (std::any_of(pending.begin(), pending.end(), [pages](uint64_t page) { return page >= pages; })) return false;
  used_.assign((pages + 63) / 64, 0);
  std::copy_n(used_words.begin(), std::min(used_words.size(), used_.size()), used_.begin());
  pending_.assign(pending.begin(), pending.end());
  pages_ = pages;
  set_used(0);
  uint64_t taken = 0;
  for (uint64_t page = 0; page < pages; page++) taken += used(page) ? 1 : 0;
  free_ = pages - taken;
  settle();
  return true;
}

void MapFile::settle() {
  release_awaiting();
  const std::lock_guard lock(room_mutex_);
  room_ = free_ + (reserved_pages_ - pages_);
}

int MapFile::make_room(uint64_t pages) {
  const std::lock_guard lock(room_mutex_);
  if (room_ >= pages) return 0;
  const uint64_t more = (pages - room_ + kGrowthPages - 1) / kGrowthPages * kGrowthPages;
  int error = extend(reserved_pages_ + more);
  if (error == ENOSPC) error = extend(reserved_pages_ + (pages - room_));
  return error;
}

// Under room_mutex_.
int MapFile::extend(uint64_t to_pages) {
  if (const int error = file_->reserve(to_pages * kPageBytes)) return error;
  if (const int error = file_->sync()) {
    sync_failed_ = error;
    return error;
  }
  room_ += to_pages - reserved_pages_;
  reserved_pages_ = to_pages;
  return 0;
}

int MapFile::read(const PagePointer& pointer, Page* page, const char* kind, uint64_t volume_offset) noexcept {
  const PageKey key{cache_file_, pointer.page};
  if (PageCache::Ref ref = cache_.find(key)) {
    counters_.hits.fetch_add(1, std::memory_order_relaxed);
    *page = Page(std::move(ref));
    return 0;
  }
  counters_.misses.fetch_add(1, std::memory_order_relaxed);
  std::unique_ptr<std::byte[]> bytes(new (std::nothrow) std::byte[kPageBytes]);
  if (bytes == nullptr) return ENOMEM;
  const int error = pointer.page < pages_ ? file_->read(pointer.page * kPageBytes, bytes.get(), kPageBytes) : ERANGE;
  if (error != 0 || !(hash128(bytes.get(), kPageBytes) == pointer.hash)) {
    damage_.add({.kind = kind,
                 .file = "map",
                 .file_offset_bytes = pointer.page * kPageBytes,
                 .volume_offset_bytes = volume_offset,
                 .segment = 0,
                 .slot = 0,
                 .detail = error != 0 ? std::string("cannot be read: ") + std::strerror(error)
                                      : "does not match the hash its parent holds"});
    return EIO;
  }
  cache_.insert(key, bytes.get());
  *page = Page(std::move(bytes));
  return 0;
}

int MapFile::read_medium(const PagePointer& pointer, std::byte* into) noexcept {
  if (pointer.page >= pages_) return EBADMSG;
  if (const int error = file_->read_medium(pointer.page * kPageBytes, into, kPageBytes)) return error;
  return hash128(into, kPageBytes) == pointer.hash ? 0 : EBADMSG;
}

bool MapFile::heal(const PagePointer& pointer) noexcept {
  alignas(kPageBytes) std::byte page[kPageBytes];
  const auto good = [&] { return hash128(page, kPageBytes) == pointer.hash; };
  if (const PageCache::Ref cached = cache_.find({cache_file_, pointer.page})) {
    std::memcpy(page, cached.bytes(), kPageBytes);
  } else if (file_->read(pointer.page * kPageBytes, page, kPageBytes) != 0) {
    return false;
  }
  if (!good()) return false;
  if (file_->write_direct(pointer.page * kPageBytes, page, kPageBytes) != 0) return false;
  return read_medium(pointer, page) == 0;
}

int MapFile::grow(uint64_t pages) {
  const uint64_t old_pages = pages_;
  uint64_t new_pages = old_pages + std::max(pages, kGrowthPages);
  {
    const std::lock_guard lock(room_mutex_);
    if (reserved_pages_ >= old_pages + pages) {
      new_pages = std::min(new_pages, reserved_pages_);
    } else if (const int error = extend(new_pages)) {
      return error;
    }
  }
  used_.resize((new_pages + 63) / 64, 0);
  pages_ = new_pages;
  free_ += new_pages - old_pages;
  return 0;
}

void MapFile::release_awaiting() {
  std::erase_if(awaiting_, [this](const std::shared_ptr<Batch>& batch) {
    if (!batch->ready.load(std::memory_order_acquire)) return false;
    for (const uint64_t freed : batch->pages) release(freed);
    return true;
  });
}

int MapFile::allocate(uint64_t* page) {
  release_awaiting();
  if (free_ == 0) {
    if (const int error = grow(1)) return error;
  }
  for (uint64_t at = cursor_ < pages_ ? cursor_ : 1;; at = at + 1 < pages_ ? at + 1 : 1) {
    if (used(at)) continue;
    set_used(at);
    free_--;
    cursor_ = at + 1;
    allocated_now_.push_back(at);
    *page = at;
    return 0;
  }
}

void MapFile::stage(uint64_t page, const void* bytes) {
  std::unique_ptr<std::byte[]> copy(new std::byte[kPageBytes]);
  std::memcpy(copy.get(), bytes, kPageBytes);
  staged_.push_back({page, std::move(copy)});
}

int MapFile::allocate(size_t count, std::vector<uint64_t>* pages) {
  pages->resize(count);
  for (uint64_t& page : *pages) {
    if (const int error = allocate(&page)) return error;
  }
  return 0;
}

int MapFile::write_allocated(uint64_t page, const void* bytes, uint64_t birth, PagePointer* pointer) {
  *pointer = {page, hash128(bytes, kPageBytes), birth};
  stage(page, bytes);
  cache_.insert({cache_file_, page}, bytes);
  return staged_.size() >= kStagedMax ? write_staged() : 0;
}

int MapFile::write_page(const void* bytes, uint64_t birth, PagePointer* pointer) {
  uint64_t page = 0;
  if (const int error = allocate(&page)) return error;
  return write_allocated(page, bytes, birth, pointer);
}

int MapFile::write_staged() {
  std::sort(staged_.begin(), staged_.end(), [](const Staged& a, const Staged& b) { return a.page < b.page; });
  std::vector<std::byte> run;
  for (size_t i = 0; i < staged_.size();) {
    size_t end = i + 1;
    while (end < staged_.size() && staged_[end].page == staged_[end - 1].page + 1) end++;
    run.resize((end - i) * kPageBytes);
    for (size_t k = i; k < end; k++) std::memcpy(run.data() + (k - i) * kPageBytes, staged_[k].bytes.get(), kPageBytes);
    if (const int error = file_->write(staged_[i].page * kPageBytes, run.data(), run.size())) return error;
    i = end;
  }
  staged_.clear();
  return 0;
}

int MapFile::write_chain(std::span<const std::byte> bytes, uint64_t birth, PagePointer* first,
                         std::vector<uint64_t>* pages) {
  if (const int error = allocate(chain_pages(bytes.size()), pages)) return error;
  return write_chain_to(*pages, bytes, birth, first);
}

// From the last page to the first, so that each knows the hash of the next.
int MapFile::write_chain_to(const std::vector<uint64_t>& pages, std::span<const std::byte> bytes, uint64_t birth,
                            PagePointer* first) {
  *first = {};
  std::vector<std::byte> page(kPageBytes);
  for (size_t i = pages.size(); i-- > 0;) {
    const size_t offset = std::min(i * kChainPayload, bytes.size());
    const std::span<const std::byte> part = bytes.subspan(offset, std::min(kChainPayload, bytes.size() - offset));
    const ChainHeader header{*first, static_cast<uint32_t>(part.size()), static_cast<uint32_t>(pages.size() - 1 - i)};
    std::fill(page.begin(), page.end(), std::byte{0});
    std::memcpy(page.data(), &header, sizeof header);
    std::copy(part.begin(), part.end(), page.begin() + sizeof header);
    if (const int error = write_allocated(pages[i], page.data(), birth, first)) return error;
  }
  return 0;
}

int MapFile::read_chain(const PagePointer& first, std::vector<std::byte>* bytes, std::vector<uint64_t>* pages) noexcept {
  bytes->clear();
  pages->clear();
  uint64_t size = 0;
  if (const int error = file_->size(&size)) return error;
  PagePointer at = first;
  while (at) {
    // A chain cannot be longer than its file: hashes make a loop impossible, this makes it impossible to wait for one.
    if (at.page >= size / kPageBytes || pages->size() > size / kPageBytes) return EIO;
    Page page;
    if (const int error = read(at, &page, "table page", UINT64_MAX)) return error;
    ChainHeader header;
    std::memcpy(&header, page.bytes(), sizeof header);
    if (header.length > kChainPayload) return EIO;
    bytes->insert(bytes->end(), page.bytes() + sizeof header, page.bytes() + sizeof header + header.length);
    pages->push_back(at.page);
    at = header.next;
  }
  return 0;
}

int MapFile::write_bitmap(uint64_t birth, const std::vector<uint64_t>& old_pages, PagePointer* first,
                          std::vector<uint64_t>* pages) {
  freed_now_.insert(freed_now_.end(), old_pages.begin(), old_pages.end());
  // Content: word count, bitmap words, then the page numbers pending. The chain's own pages must be set in the bitmap,
  // so they are taken before it is put together; growing for them lengthens it, hence the loop.
  uint64_t chain = 0;
  size_t words = 0;
  for (;;) {
    words = (pages_ + 63) / 64;
    chain = chain_pages((1 + words + freed_now_.size()) * sizeof(uint64_t));
    if (free_ >= chain) break;
    if (const int error = grow(chain)) return error;
  }
  if (const int error = allocate(chain, pages)) return error;
  std::vector<uint64_t> content(1 + words);
  content[0] = words;
  std::copy_n(used_.begin(), words, content.begin() + 1);
  const auto set_free = [&](uint64_t page) { content[1 + page / 64] &= ~(1ULL << page % 64); };
  for (const uint64_t page : pending_) set_free(page);  // free for whoever opens from this checkpoint
  for (const auto& batch : awaiting_) std::for_each(batch->pages.begin(), batch->pages.end(), set_free);
  content.insert(content.end(), freed_now_.begin(), freed_now_.end());
  return write_chain_to(*pages, std::as_bytes(std::span(content)), birth, first);
}

int MapFile::sync() {
  if (const int error = write_staged()) return error;
  const int error = file_->sync();
  return error != 0 ? error : sync_failed_.load();
}

void MapFile::committed(Epochs& epochs) {
  if (!pending_.empty()) {
    auto batch = std::make_shared<Batch>();
    batch->pages = std::move(pending_);
    awaiting_.push_back(batch);
    epochs.retire([batch] { batch->ready.store(true, std::memory_order_release); });
  }
  pending_ = std::move(freed_now_);
  freed_now_.clear();
  allocated_now_.clear();
}

void MapFile::rolled_back() {
  staged_.clear();
  for (size_t i = allocated_mark_; i < allocated_now_.size(); i++) release(allocated_now_[i]);
  allocated_now_.resize(allocated_mark_);
  freed_now_.resize(freed_mark_);
  settle();
}

}  // namespace galleonfs::store
