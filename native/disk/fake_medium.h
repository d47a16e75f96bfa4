// What a disk holds, and what a power cut may leave of it. The crash model:
//
//   kill        the process dies: what it wrote stays in the page cache, unsynced as before. Nothing is lost.
//   power cut   what remains is chosen freely, each line below apart from all others:
//     sectors   of what was written to a 512-byte sector since its file was last synced, any one value, or the one it had
//               at that sync: also an earlier one though a later one was written, and any mixture of sectors (torn writes)
//     lengths   a file that grew since its last sync has any length it had since, its bytes there old, new or zeros
//     names     an entry made since the last sync_directory() may be missing and a removed one back, in any combination
//
//   sync() makes a file's bytes and length durable, not its name; sync_directory() makes names durable, not files.
//
// That is what POSIX allows, and more than ext4 (data=ordered) and XFS do: they journal names and lengths in order (a
// prefix of the changes survives), and an fsync of a new file makes its name durable. States of that kind are among ours.
// Assumed: a sector is written whole or not at all; what was synced stays as it is; writing one sector disturbs no other.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace galleonfs::disk {

enum class FakeOperation { open, read, write, sync, reserve, create, remove, list, sync_directory };

// One change of a disk, as it is logged: bytes belong to a file by its inode, names are apart.
struct DiskRecord {
  FakeOperation operation;
  uint32_t inode = 0;
  std::string name;     // the entry, or for messages: what the file was opened as
  uint64_t offset = 0;  // write
  uint64_t length = 0;  // write, reserve
  std::vector<std::byte> bytes;
};

// Copying is cheap: files and pages are shared until they change. Not safe from several threads, also not copies.
class FakeMedium {
 public:
  static constexpr size_t kSector = 512;
  static constexpr size_t kPage = 4096;
  // A disk that lies: true, and the write at that offset, or the sync of the page at that offset, or of that name
  // (sync_directory), silently is not done.
  using Lie = std::function<bool(FakeOperation, const std::string& name, uint64_t offset)>;

  // As a process sees it.
  uint32_t find(const std::string& name) const;  // 0: not there
  std::vector<std::string> names() const;
  uint64_t size(uint32_t inode) const;
  uint64_t used_bytes() const;
  void read(uint32_t inode, uint64_t offset, void* into, size_t length) const;
  // The inode that create() will use next.
  uint32_t next_inode() const { return next_inode_; }
  void apply(const DiskRecord& record, const Lie& lie = {});
  // Past the page cache, as O_DIRECT does.
  void read_medium(uint32_t inode, uint64_t offset, void* into, size_t length);
  // A sync that failed: dirty pages count as clean though the medium does not have them; readers go on seeing them.
  void fail_sync(uint32_t inode);
  // Changes a byte everywhere, durable or not.
  void flip(uint32_t inode, uint64_t offset, uint8_t mask);
  // The same on the medium alone; writing the sector heals it.
  void rot(uint32_t inode, uint64_t offset, uint8_t mask) { change(inode).rotten[offset] = mask; }

  // One thing a power cut decides. Value 0 is the durable one, the last is what a process sees.
  struct Choice {
    enum class Of { name, length, sector };
    Of of;
    uint32_t inode = 0;
    uint64_t sector = 0;
    const std::string* name = nullptr;
    struct Value {
      uint64_t time;     // when it came to be; ascending
      uint32_t version;  // which of the name's, the length's or the sector's page's
    };
    std::vector<Value> values;  // at least two
  };
  // Valid until the next change.
  std::vector<Choice> choices() const;
  // The disk after the power cut that chose so: all of it durable.
  FakeMedium cut(const std::vector<Choice>& choices, const std::vector<uint32_t>& picks) const;

  // Of all names, lengths and bytes as a process sees them.
  uint64_t hash() const;

 private:
  struct Page {
    std::array<std::byte, kPage> bytes{};
    uint64_t hash = 0;  // 0: not known
  };
  using PageRef = std::shared_ptr<Page>;  // null: zeros; shared pages are not written to
  template <class Value>
  struct Version {
    uint64_t time;
    Value value;
  };
  template <class Value>
  using Versions = std::vector<Version<Value>>;  // first the durable one, last the current one; at least two
  struct Inode {
    uint64_t size = 0;
    std::vector<PageRef> pages;
    std::map<uint64_t, Versions<PageRef>> unsynced;  // by page
    Versions<uint64_t> sizes;                        // or empty
    std::map<uint64_t, PageRef> falsely_clean;       // by page: what the medium holds where a sync failed
    std::map<uint64_t, uint8_t> rotten;              // bytes of the medium that differ: offset, mask
  };
  static const std::byte* bytes_of(const PageRef& page);
  static Page& own(PageRef& page);
  static void truncate(Inode& inode, uint64_t size);
  static void forget_cache(Inode& inode);
  static uint64_t page_hash(Page& page);
  static void add_sector_choices(uint32_t number, const Inode& inode, std::vector<Choice>* all);
  Inode& change(uint32_t inode);
  void write(uint32_t number, uint64_t offset, const std::byte* from, size_t length);
  void grow(Inode& inode, uint64_t size);
  void set_name(const std::string& name, uint32_t inode);
  void sync(const DiskRecord& record, const Lie& lie);
  void sync_directory(const Lie& lie);

  std::map<std::string, uint32_t> names_;
  std::map<std::string, Versions<uint32_t>> changed_names_;  // inode, 0: not there
  std::map<uint32_t, std::shared_ptr<Inode>> inodes_;
  uint32_t next_inode_ = 1;
  uint64_t time_ = 0;
};

}  // namespace galleonfs::disk
