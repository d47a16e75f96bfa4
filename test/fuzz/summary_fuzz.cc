// Segment headers, summary entries and record blocks with changed bytes, with right or wrong checks.
#include "store/segment.h"
#include "store_image.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace galleonfs;
  if (size < 2) return 0;
  fuzz::StoreImage image;
  const unsigned mode = data[0];
  for (const std::string& name : image.storage.names()) {
    if (!name.starts_with("segment-")) continue;
    auto file = image.contents(name);
    if (file.size() < store::kSummaryOffset + 4096) continue;
    store::RawSegmentHeader header;
    std::memcpy(&header, file.data(), sizeof header);
    if ((mode & 1) != 0) {
      fuzz::lay_over(data + 1, size - 1, file.data(), sizeof header);
      std::memcpy(&header, file.data(), sizeof header);
      if ((mode & 2) != 0) header = store::seal_segment_header(header);
      std::memcpy(file.data(), &header, sizeof header);
      std::memcpy(file.data() + 4096, &header, sizeof header);
    } else if ((mode & 4) != 0) {
      fuzz::lay_over(data + 1, size - 1, file.data() + store::kSummaryOffset, 4096);
    } else if (store::valid_segment_header(header)) {
      // Whole entries, sealed as the store does: the replay must cope with any content.
      for (size_t i = 1; i + 12 <= size; i += 12) {
        store::Entry entry;
        std::memcpy(&entry.block, data + i, 6);
        entry.block &= store::kLogicalBlockMax;
        entry.lsn = header.base_lsn + data[i + 6] % header.slots;
        entry.durable_lsn = data[i + 7];
        entry.flags = (data[i + 8] & 1) != 0 ? store::kEntryRecord : store::kEntryData;
        const uint32_t slot = data[i + 9] % header.slots;
        std::vector<std::byte> payload(header.block_size);
        if (entry.flags == store::kEntryRecord) {
          const uint32_t head[2] = {0x43534944, 1};
          std::memcpy(payload.data(), head, sizeof head);
          fuzz::lay_over(data + i, std::min<size_t>(size - i, 48), payload.data(), 64);
        }
        image.put(name, store::payload_offset(header.slots) + uint64_t{slot} * header.block_size, payload.data(), payload.size());
        entry.tag = store::block_tag(payload.data(), payload.size(), header.salt, slot, entry.block);
        const store::RawEntry raw = store::encode_entry(entry, header.salt, slot);
        std::memcpy(file.data() + store::kSummaryOffset + slot * sizeof raw, &raw, sizeof raw);
      }
    }
    image.put(name, 0, file.data(), file.size());
  }
  image.exercise();
  return 0;
}
