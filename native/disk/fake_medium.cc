#include "fake_medium.h"

#include <algorithm>
#include <cstring>

#include "../store/xxh3.h"

namespace galleonfs::disk {
namespace {

template <class Versions, class Value>
void add_version(Versions& versions, const Value& before, const Value& now, uint64_t time) {
  if (versions.empty()) versions.push_back({0, before});
  versions.push_back({time, now});
}

uint64_t mix(uint64_t a, uint64_t b) {
  const uint64_t x = (a ^ (b * 0x9E3779B97F4A7C15)) * 0xD6E8FEB86659FD93;
  return x ^ x >> 32;
}

constexpr std::array<std::byte, FakeMedium::kPage> kZeros{};

template <class Versions>
std::vector<FakeMedium::Choice::Value> values_of(const Versions& versions) {
  std::vector<FakeMedium::Choice::Value> all;
  for (const auto& version : versions) all.push_back({version.time, static_cast<uint32_t>(all.size())});
  return all;
}

}  // namespace

uint32_t FakeMedium::find(const std::string& name) const {
  const auto found = names_.find(name);
  return found == names_.end() ? 0 : found->second;
}

std::vector<std::string> FakeMedium::names() const {
  std::vector<std::string> names;
  for (const auto& [name, inode] : names_) names.push_back(name);
  return names;
}

uint64_t FakeMedium::size(uint32_t inode) const { return inodes_.at(inode)->size; }

uint64_t FakeMedium::used_bytes() const {
  uint64_t bytes = 0;
  for (const auto& [name, inode] : names_) bytes += size(inode);
  return bytes;
}

void FakeMedium::read(uint32_t number, uint64_t offset, void* into, size_t length) const {
  const Inode& inode = *inodes_.at(number);
  auto* at = static_cast<std::byte*>(into);
  while (length > 0) {
    const size_t n = std::min(length, kPage - offset % kPage);
    const uint64_t page = offset / kPage;
    std::memcpy(at, (page < inode.pages.size() ? bytes_of(inode.pages[page]) : kZeros.data()) + offset % kPage, n);
    at += n;
    offset += n;
    length -= n;
  }
}

void FakeMedium::apply(const DiskRecord& record, const Lie& lie) {
  time_++;
  switch (record.operation) {
    case FakeOperation::create:
      inodes_[next_inode_] = std::make_shared<Inode>();
      set_name(record.name, next_inode_++);
      break;
    case FakeOperation::remove:
      set_name(record.name, 0);
      break;
    case FakeOperation::write:
      if (!lie || !lie(record.operation, record.name, record.offset)) {
        write(record.inode, record.offset, record.bytes.data(), record.length);
      }
      break;
    case FakeOperation::reserve:
      grow(change(record.inode), record.length);
      break;
    case FakeOperation::sync:
      sync(record, lie);
      break;
    case FakeOperation::sync_directory:
      sync_directory(lie);
      break;
    case FakeOperation::open:
    case FakeOperation::read:
    case FakeOperation::list:
      break;
  }
}

FakeMedium::Inode& FakeMedium::change(uint32_t number) {
  std::shared_ptr<Inode>& inode = inodes_.at(number);
  if (inode.use_count() > 1) inode = std::make_shared<Inode>(*inode);
  return *inode;
}

const std::byte* FakeMedium::bytes_of(const PageRef& page) { return page == nullptr ? kZeros.data() : page->bytes.data(); }

// The page, to be written to.
FakeMedium::Page& FakeMedium::own(PageRef& page) {
  if (page == nullptr) {
    page = std::make_shared<Page>();
  } else if (page.use_count() > 1) {
    page = std::make_shared<Page>(*page);
  }
  page->hash = 0;
  return *page;
}

void FakeMedium::write(uint32_t number, uint64_t offset, const std::byte* from, size_t length) {
  Inode& inode = change(number);
  grow(inode, offset + length);
  if (inode.pages.size() < (offset + length + kPage - 1) / kPage) inode.pages.resize((offset + length + kPage - 1) / kPage);
  while (length > 0) {
    const size_t n = std::min(length, kPage - offset % kPage);
    PageRef& page = inode.pages[offset / kPage];
    const auto medium = inode.falsely_clean.extract(offset / kPage);
    if (!inode.rotten.empty()) {
      std::erase_if(inode.rotten, [&](const auto& byte) {
        return byte.first / kSector >= offset / kSector && byte.first / kSector <= (offset + n - 1) / kSector;
      });
    }
    if (medium || std::memcmp(bytes_of(page) + offset % kPage, from, n) != 0) {
      const PageRef before = medium ? medium.mapped() : page;
      const PageRef cached = page;  // so that writing makes a copy
      std::memcpy(own(page).bytes.data() + offset % kPage, from, n);
      add_version(inode.unsynced[offset / kPage], before, page, time_);
    }
    from += n;
    offset += n;
    length -= n;
  }
}

void FakeMedium::grow(Inode& inode, uint64_t size) {
  if (size <= inode.size) return;
  add_version(inode.sizes, inode.size, size, time_);
  inode.size = size;
}

void FakeMedium::truncate(Inode& inode, uint64_t size) {
  inode.size = size;
  const uint64_t pages = (size + kPage - 1) / kPage;
  if (inode.pages.size() > pages) inode.pages.resize(pages);
  const size_t within = size % kPage;
  if (within == 0 || inode.pages.size() < pages || inode.pages.back() == nullptr) return;
  std::memset(own(inode.pages.back()).bytes.data() + within, 0, kPage - within);
}

void FakeMedium::set_name(const std::string& name, uint32_t inode) {
  add_version(changed_names_[name], find(name), inode, time_);
  if (inode == 0) {
    names_.erase(name);
  } else {
    names_[name] = inode;
  }
}

void FakeMedium::sync(const DiskRecord& record, const Lie& lie) {
  Inode& inode = change(record.inode);
  std::erase_if(inode.unsynced, [&](const auto& entry) {
    return !lie || !lie(FakeOperation::sync, record.name, entry.first * kPage);
  });
  if (inode.unsynced.empty()) inode.sizes.clear();
}

void FakeMedium::sync_directory(const Lie& lie) {
  std::erase_if(changed_names_, [&](const auto& entry) {
    return !lie || !lie(FakeOperation::sync_directory, entry.first, 0);
  });
}

void FakeMedium::fail_sync(uint32_t number) {
  Inode& inode = change(number);
  for (const auto& [page, versions] : inode.unsynced) inode.falsely_clean.try_emplace(page, versions.front().value);
  inode.unsynced.clear();
}

void FakeMedium::forget_cache(Inode& inode) {
  for (const auto& [page, medium] : inode.falsely_clean) inode.pages[page] = medium;
  inode.falsely_clean.clear();
}

void FakeMedium::read_medium(uint32_t number, uint64_t offset, void* into, size_t length) {
  // Writes back what is dirty and drops the rest from the cache.
  if (!inodes_.at(number)->falsely_clean.empty()) forget_cache(change(number));
  read(number, offset, into, length);
  for (const auto& [at, mask] : inodes_.at(number)->rotten) {
    if (offset <= at && at < offset + length) static_cast<std::byte*>(into)[at - offset] ^= std::byte(mask);
  }
}

void FakeMedium::flip(uint32_t number, uint64_t offset, uint8_t mask) {
  Inode& inode = change(number);
  const auto flip = [&](PageRef& page) { own(page).bytes[offset % kPage] ^= std::byte(mask); };
  if (inode.pages.size() <= offset / kPage) inode.pages.resize(offset / kPage + 1);
  flip(inode.pages[offset / kPage]);
  if (const auto found = inode.falsely_clean.find(offset / kPage); found != inode.falsely_clean.end()) flip(found->second);
  if (const auto found = inode.unsynced.find(offset / kPage); found != inode.unsynced.end()) {
    for (auto& version : found->second) flip(version.value);
  }
}

std::vector<FakeMedium::Choice> FakeMedium::choices() const {
  std::vector<Choice> all;
  for (const auto& [name, versions] : changed_names_) all.push_back({Choice::Of::name, 0, 0, &name, values_of(versions)});
  for (const auto& [number, inode] : inodes_) {
    if (!inode->sizes.empty()) all.push_back({Choice::Of::length, number, 0, nullptr, values_of(inode->sizes)});
    add_sector_choices(number, *inode, &all);
  }
  return all;
}

void FakeMedium::add_sector_choices(uint32_t number, const Inode& inode, std::vector<Choice>* all) {
  for (const auto& [page, versions] : inode.unsynced) {
    for (size_t at = 0; at < kPage; at += kSector) {
      std::vector<Choice::Value> values{{0, 0}};
      for (uint32_t i = 1; i < versions.size(); i++) {
        const std::byte* before = bytes_of(versions[values.back().version].value) + at;
        if (std::memcmp(before, bytes_of(versions[i].value) + at, kSector) != 0) values.push_back({versions[i].time, i});
      }
      if (values.size() < 2) continue;
      all->push_back({Choice::Of::sector, number, (page * kPage + at) / kSector, nullptr, std::move(values)});
    }
  }
}

FakeMedium FakeMedium::cut(const std::vector<Choice>& choices, const std::vector<uint32_t>& picks) const {
  FakeMedium after;
  after.names_ = names_;
  after.next_inode_ = next_inode_;
  after.time_ = time_;
  size_t at = 0;
  for (; at < choices.size() && choices[at].of == Choice::Of::name; at++) {
    const uint32_t inode = changed_names_.at(*choices[at].name)[choices[at].values[picks[at]].version].value;
    if (inode == 0) {
      after.names_.erase(*choices[at].name);
    } else {
      after.names_[*choices[at].name] = inode;
    }
  }
  for (const auto& [name, inode] : after.names_) after.inodes_[inode] = nullptr;
  for (auto& [number, copy] : after.inodes_) {
    const std::shared_ptr<Inode>& inode = inodes_.at(number);
    if (inode->unsynced.empty() && inode->sizes.empty() && inode->falsely_clean.empty()) {
      copy = inode;
      continue;
    }
    copy = std::make_shared<Inode>();
    copy->size = inode->size;
    copy->pages = inode->pages;
    copy->rotten = inode->rotten;
    copy->falsely_clean = inode->falsely_clean;
    forget_cache(*copy);
  }
  uint32_t number = 0;
  Inode* inode = nullptr;
  const Inode* from = nullptr;
  uint64_t size = 0;
  for (; at <= choices.size(); at++) {
    if (at == choices.size() || choices[at].inode != number) {
      if (inode != nullptr && size < inode->size) truncate(*inode, size);
      if (at == choices.size()) break;
      number = choices[at].inode;
      const auto found = after.inodes_.find(number);
      inode = found == after.inodes_.end() ? nullptr : found->second.get();
      from = inodes_.at(number).get();
      size = from->size;
    }
    if (inode == nullptr) continue;
    if (choices[at].of == Choice::Of::length) {
      size = from->sizes[picks[at]].value;
    } else if (picks[at] + 1 < choices[at].values.size()) {
      const uint64_t page = choices[at].sector * kSector / kPage;
      const size_t within = choices[at].sector * kSector % kPage;
      const uint32_t version = choices[at].values[picks[at]].version;
      const std::byte* bytes = bytes_of(from->unsynced.at(page)[version].value);
      std::memcpy(own(inode->pages[page]).bytes.data() + within, bytes + within, kSector);
    }
  }
  return after;
}

uint64_t FakeMedium::page_hash(Page& page) {
  if (page.hash == 0) {
    static const uint64_t of_zeros = XXH3_64bits(kZeros.data(), kPage) | 1;
    page.hash = XXH3_64bits(page.bytes.data(), kPage) | 1;
    if (page.hash == of_zeros) page.hash = UINT64_MAX;  // as a page never written
  }
  return page.hash == UINT64_MAX ? 0 : page.hash;
}

uint64_t FakeMedium::hash() const {
  uint64_t all = 0;
  for (const auto& [name, number] : names_) {
    const Inode& inode = *inodes_.at(number);
    uint64_t of = mix(XXH3_64bits(name.data(), name.size()), inode.size);
    for (size_t i = 0; i < inode.pages.size(); i++) {
      if (inode.pages[i] == nullptr) continue;
      if (const uint64_t page = page_hash(*inode.pages[i])) of += mix(page, i);
    }
    all += mix(of, 1);
  }
  return all;
}

}  // namespace galleonfs::disk
