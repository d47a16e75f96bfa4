// Superblocks with changed fields, with a right or a wrong check.
#include "store_image.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace galleonfs;
  if (size < 1) return 0;
  fuzz::StoreImage image;
  auto file = image.contents("superblock");
  const unsigned mode = data[0];
  for (unsigned slot = 0; slot < 2; slot++) {
    if ((mode >> slot & 1) == 0) continue;
    std::byte* bytes = file.data() + slot * store::kPageBytes;
    // The fields stand in the first 232 bytes.
    fuzz::lay_over(data + 1, size - 1, bytes, (mode & 8) != 0 ? store::kPageBytes : 232);
    if ((mode & 4) == 0) continue;
    const store::Hash128 check = store::hash128(bytes, offsetof(store::RawSuperblock, check));
    std::memcpy(bytes + offsetof(store::RawSuperblock, check), &check, sizeof check);
  }
  image.put("superblock", 0, file.data(), file.size());
  image.exercise();
  return 0;
}
