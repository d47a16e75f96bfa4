// Map pages with changed bytes: a root node or leaf whose hashes are made right again up to the superblock, or chains.
#include "store_image.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace galleonfs;
  if (size < 2) return 0;
  fuzz::StoreImage image;
  const unsigned mode = data[0];
  auto superblocks = image.contents("superblock");
  auto map = image.contents("map");
  for (unsigned slot = 0; slot < 2; slot++) {
    store::RawSuperblock superblock;
    std::memcpy(&superblock, superblocks.data() + slot * store::kPageBytes, sizeof superblock);
    const auto page = [&](const store::PagePointer& pointer) { return map.data() + pointer.page * store::kPageBytes; };
    const auto change = [&](store::PagePointer& pointer, const uint8_t* bytes, size_t length) {
      if (!pointer || (pointer.page + 1) * store::kPageBytes > map.size()) return;
      fuzz::lay_over(bytes, length, page(pointer), (mode & 16) != 0 ? 64 : store::kPageBytes);
      pointer.hash = store::hash128(page(pointer), store::kPageBytes);
    };
    switch (mode & 7) {
      case 0:
        if (superblock.map_root) {  // the leaf of the only child
          store::PagePointer child;
          std::memcpy(&child, page(superblock.map_root), sizeof child);
          change(child, data + 1, size - 1);
          std::memcpy(page(superblock.map_root), &child, sizeof child);
          superblock.map_root.hash = store::hash128(page(superblock.map_root), store::kPageBytes);
        }
        break;
      case 1:
        change(superblock.map_root, data + 1, size - 1);
        break;
      case 2:
        change(superblock.segment_table, data + 1, size - 1);
        break;
      case 3:
        change(superblock.page_bitmap, data + 1, size - 1);
        break;
      case 4:
        change(superblock.stragglers, data + 1, size - 1);
        break;
      default:  // hashes left wrong
        fuzz::lay_over(data + 1, size - 1, map.data(), std::min<size_t>(map.size(), 65536));
    }
    superblock.check = store::hash128(&superblock, offsetof(store::RawSuperblock, check));
    std::memcpy(superblocks.data() + slot * store::kPageBytes, &superblock, sizeof superblock);
  }
  image.put("map", 0, map.data(), map.size());
  image.put("superblock", 0, superblocks.data(), superblocks.size());
  image.exercise();
  return 0;
}
