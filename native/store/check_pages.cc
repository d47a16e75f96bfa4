// The pages of the map file: chains, the older superblock's pages, and whether every page is accounted for.
#include <algorithm>
#include <cerrno>
#include <cstring>

#include "checker.h"
#include "page_chain.h"

namespace galleonfs::store {
namespace {

bool bit(const std::vector<uint64_t>& words, uint64_t at) {
  return at / 64 < words.size() && (words[at / 64] >> at % 64 & 1) != 0;
}

bool at(const std::vector<bool>& bits, uint64_t index) { return index < bits.size() && bits[index]; }

bool mark(std::vector<bool>* bits, uint64_t index) {
  if (index >= bits->size()) bits->resize(index + 1);
  const bool before = (*bits)[index];
  (*bits)[index] = true;
  return before;
}

}  // namespace

Damage in_map(const char* kind, uint64_t page, uint64_t volume_offset, std::string detail) {
  return {.kind = kind,
          .file = "map",
          .file_offset_bytes = page * kPageBytes,
          .volume_offset_bytes = volume_offset,
          .segment = 0,
          .slot = 0,
          .detail = std::move(detail)};
}

bool Checker::read_page(const PagePointer& pointer, std::byte* into) {
  if (pointer.page == 0 || pointer.page >= map_file_pages_) return false;
  if (read(*map_file_, pointer.page * kPageBytes, into, kPageBytes) != 0) return false;
  return hash128(into, kPageBytes) == pointer.hash;
}

bool Checker::read_chain(const PagePointer& first, std::vector<std::byte>* bytes, std::vector<uint64_t>* pages,
                         Damage* place) {
  std::byte* page = level_pages_[0].data();
  for (PagePointer next = first; next;) {
    ChainHeader header;
    const bool whole = pages->size() <= map_file_pages_ && read_page(next, page);
    if (whole) std::memcpy(&header, page, sizeof header);
    if (!whole || header.length > kChainPayload) {
      *place = in_map("table page", next.page, UINT64_MAX, "does not match the hash of what points to it");
      return false;
    }
    bytes->insert(bytes->end(), page + sizeof header, page + sizeof header + header.length);
    pages->push_back(next.page);
    next = header.next;
  }
  return true;
}

bool Checker::load_tables(const RawSuperblock& superblock, Tables* tables, std::string* problem, Damage* place) {
  tables->superblock = superblock;
  std::vector<std::byte> bytes;
  *problem = "page bitmap";
  if (!read_chain(superblock.page_bitmap, &bytes, &tables->bitmap_pages, place)) return false;
  std::vector<uint64_t> words(bytes.size() / sizeof(uint64_t));
  if (!words.empty()) std::memcpy(words.data(), bytes.data(), words.size() * sizeof(uint64_t));
  if (words.empty()) words.push_back(0);  // a new store
  if (words[0] > words.size() - 1 || superblock.map_pages < 1 || superblock.map_pages > map_file_pages_) return false;
  const auto split = words.begin() + 1 + static_cast<ptrdiff_t>(words[0]);
  tables->used_words.assign(words.begin() + 1, split);
  tables->pending_pages.assign(split, words.end());
  *problem = "segment table";
  bytes.clear();
  if (!read_chain(superblock.segment_table, &bytes, &tables->table_pages, place)) return false;
  if (!decode_table(bytes, &tables->table)) return false;
  *problem = "straggler run";
  bytes.clear();
  if (!read_chain(superblock.stragglers, &bytes, &tables->straggler_pages, place)) return false;
  tables->stragglers.resize(bytes.size() / sizeof(DeltaEntry));
  if (!tables->stragglers.empty()) {
    std::memcpy(tables->stragglers.data(), bytes.data(), tables->stragglers.size() * sizeof(DeltaEntry));
  }
  const uint64_t blocks = superblock.size_bytes / superblock.block_size;
  return std::all_of(tables->stragglers.begin(), tables->stragglers.end(),
                     [blocks](const DeltaEntry& entry) { return entry.block < blocks; });
}

void Checker::claim(uint64_t page, const char* kind, uint64_t volume_offset) {
  if (mark(&reached_, page)) find(Severity::damage, in_map(kind, page, volume_offset, "is used twice"));
}

void Checker::claim_tables() {
  reached_.resize(base_.superblock.map_pages);
  reached_[0] = true;  // never used
  for (const auto* pages : {&base_.table_pages, &base_.bitmap_pages, &base_.straggler_pages}) {
    for (const uint64_t page : *pages) claim(page, "table page", UINT64_MAX);
  }
  for (const Segment& segment : segments_) {
    if (segment.in_table && segment.record.index) claim(segment.record.index.page, "slot index", UINT64_MAX);
  }
}

// What only the older superblock reaches must be whole too: it is the way back.
void Checker::check_older() {
  if (older_ == nullptr) return;
  for (const auto* pages : {&older_->table_pages, &older_->bitmap_pages, &older_->straggler_pages}) {
    for (const uint64_t page : *pages) mark(&reached_by_older_, page);
  }
  for (const RawSegmentRecord& record : older_->table.records) {
    if (!record.index || at(reached_, record.index.page)) continue;
    mark(&reached_by_older_, record.index.page);
    if (!read_page(record.index, level_pages_[0].data())) {
      find(Severity::error, in_map("slot index", record.index.page, UINT64_MAX, "of the older superblock is damaged"),
           "write the older superblock anew from the newer");
      plan_.rewrite_other_superblock = true;
    }
  }
  check_older_tree(older_->superblock.map_root, base_.superblock.map_root, older_->superblock.height);
  if (older_->superblock.generation + 1 != base_.superblock.generation) return;
  // Files that the older one's table names may not be free for the journal yet.
  for (const RawSegmentRecord& record : older_->table.records) {
    const auto same_file = [&](const RawSegmentRecord& other) { return other.file_number == record.file_number; };
    const auto& pending = base_.table.pending_files;
    if (std::any_of(base_.table.records.begin(), base_.table.records.end(), same_file) ||
        std::find(pending.begin(), pending.end(), record.file_number) != pending.end()) {
      continue;
    }
    find(Severity::error, {.kind = "segment table",
                           .file = "segment-" + std::to_string(record.file_number),
                           .file_offset_bytes = 0,
                           .volume_offset_bytes = UINT64_MAX,
                           .segment = record.id,
                           .slot = 0,
                           .detail = "the older superblock needs a file that the newer one holds to be free"},
         "write the older superblock anew from the newer");
    plan_.rewrite_other_superblock = true;
  }
}

void Checker::check_older_tree(const PagePointer& pointer, const PagePointer& newer, uint32_t level) {
  if (!pointer || !going()) return;
  if (pointer.page == newer.page && pointer.hash == newer.hash) return;
  mark(&reached_by_older_, pointer.page);
  std::byte* page = level_pages_[level].data();
  if (!read_page(pointer, page)) {
    find(Severity::error, in_map(level == 0 ? "map page" : "map node", pointer.page, UINT64_MAX,
                                 "of the older superblock is damaged"),
         "write the older superblock anew from the newer");
    plan_.rewrite_other_superblock = true;
    return;
  }
  if (level == 0) return;
  PagePointer newer_children[kNodeEntries] = {};
  std::vector<PagePointer> children(kNodeEntries);
  std::memcpy(children.data(), page, kPageBytes);
  if (newer && read_page(newer, page)) std::memcpy(newer_children, page, kPageBytes);
  for (uint32_t i = 0; i < kNodeEntries; i++) check_older_tree(children[i], newer_children[i], level - 1);
}

// Every page is free, or reached, or waits because the older superblock reaches it; and only one of them.
void Checker::account_pages() {
  const uint64_t pages = base_.superblock.map_pages;
  std::vector<uint64_t> pending = base_.pending_pages;
  std::sort(pending.begin(), pending.end());
  const auto waits = [&](uint64_t page) { return std::binary_search(pending.begin(), pending.end(), page); };
  report_.map_pages = pages;
  if (reached_.size() > pages) {
    find(Severity::damage, in_map("page bitmap", pages, UINT64_MAX, "the map reaches pages beyond the end that is recorded"));
  }
  const bool follows = older_ != nullptr && older_->superblock.generation + 1 == base_.superblock.generation;
  const std::string repair = "write the page bitmap anew";
  const auto wrong = [&](uint64_t page, std::string detail) {
    find(Severity::error, in_map("page bitmap", page, UINT64_MAX, std::move(detail)), repair);
    plan_.rewrite_tables = true;
  };
  uint64_t leaked = 0;
  uint64_t first_leaked = 0;
  plan_.used_pages.assign((pages + 63) / 64, 0);
  for (uint64_t page = 1; page < pages; page++) {
    const bool used = bit(base_.used_words, page);
    const bool reached = at(reached_, page);
    const bool waiting = waits(page);
    const bool by_older = at(reached_by_older_, page);
    report_.map_pages_used += reached ? 1 : 0;
    report_.map_pages_pending += waiting ? 1 : 0;
    report_.map_pages_free += used ? 0 : 1;
    if (reached && !used) wrong(page, "a page in use is held to be free");
    if (reached && waiting) wrong(page, "a page in use is waiting to be free");
    if (waiting && !used) wrong(page, "a page waiting to be free is free already");
    if (follows && by_older && !reached && !waiting) wrong(page, "a page of the older superblock is not kept for it");
    if (used && !reached && !waiting && !(by_older && !follows)) {
      if (leaked++ == 0) first_leaked = page;
    }
    if (reached || waiting || by_older || (pages_lost_ && used)) plan_.used_pages[page / 64] |= 1ULL << page % 64;
    if (!reached && (waiting || by_older)) plan_.pending_pages.push_back(page);
  }
  if (leaked > 0 && pages_lost_) {
    find(Severity::note, in_map("page bitmap", first_leaked, UINT64_MAX,
                                std::to_string(leaked) + " pages are in use that only damaged pages can lead to"));
  } else if (leaked > 0) {
    wrong(first_leaked, std::to_string(leaked) + " pages are held to be in use and are not; this is the first");
  }
}

}  // namespace galleonfs::store
