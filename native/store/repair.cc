// Carries out what a check would repair. In this order: entries and headers; then, as a checkpoint does, tables before the
// superblock that leads to them; strangers last.
#include <cerrno>
#include <cstring>

#include "map_file.h"
#include "repair_plan.h"
#include "segment_files.h"
#include "superblock.h"

namespace galleonfs::store {
namespace {

int write_to_segments(disk::Disk& disk, const RepairPlan& plan) {
  const auto write = [&](uint32_t number, uint64_t offset, const void* from, size_t length) -> int {
    std::unique_ptr<disk::File> file;
    if (const int error = disk.open(SegmentFiles::name(number), false, &file)) return error;
    if (const int error = file->write(offset, from, length)) return error;
    return file->sync();
  };
  for (const RepairPlan::Entry& fix : plan.entries) {
    const uint64_t at = kSummaryOffset + uint64_t{fix.slot} * sizeof(RawEntry);
    if (const int error = write(fix.file_number, at, &fix.entry, sizeof fix.entry)) return error;
  }
  for (const RepairPlan::Header& fix : plan.headers) {
    std::byte page[kPageBytes] = {};
    std::memcpy(page, &fix.header, sizeof fix.header);
    if (const int error = write(fix.file_number, fix.copy * kPageBytes, page, sizeof page)) return error;
  }
  return 0;
}

// A checkpoint that changes nothing but the tables.
int write_tables(disk::Disk& disk, disk::File& superblock_file, const RepairPlan& plan) {
  std::unique_ptr<disk::File> file;
  if (const int error = disk.open("map", false, &file)) return error;
  PageCache cache(1 << 20);
  CacheCounters counters;
  DamageLog damage;
  Epochs epochs;
  MapFile map(std::move(file), cache, counters, damage);
  if (!map.load_bitmap(plan.base.map_pages, plan.used_pages, plan.pending_pages)) return EIO;
  RawSuperblock next = plan.base;
  next.generation++;
  std::vector<uint64_t> pages;
  PersistedTable table = plan.table;
  table.pending_files.clear();  // with this superblock durable, nothing reaches them any more
  for (const uint64_t page : plan.table_pages) map.free_page(page);
  if (const int error = map.write_chain(encode_table(table), next.generation, &next.segment_table, &pages)) return error;
  if (const int error = map.write_bitmap(next.generation, plan.bitmap_pages, &next.page_bitmap, &pages)) return error;
  next.map_pages = map.pages();
  if (const int error = map.sync()) return error;
  return write_superblock(superblock_file, next, 1 - plan.base_slot);
}

}  // namespace

int carry_out(disk::Disk& disk, const RepairPlan& plan) {
  if (plan.base_slot < 0) return 0;
  if (const int error = write_to_segments(disk, plan)) return error;
  std::unique_ptr<disk::File> superblock_file;
  if (const int error = disk.open("superblock", false, &superblock_file)) return error;
  if (plan.rewrite_tables) {
    if (const int error = write_tables(disk, *superblock_file, plan)) return error;
  } else if (plan.rewrite_other_superblock) {
    RawSuperblock copy = plan.base;
    copy.generation--;
    if (const int error = write_superblock(*superblock_file, copy, 1 - plan.base_slot)) return error;
  }
  for (const std::string& name : plan.strangers) {
    if (const int error = disk.remove(name)) return error;
  }
  return plan.strangers.empty() ? 0 : disk.sync_directory();
}

}  // namespace galleonfs::store
