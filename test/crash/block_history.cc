#include "block_history.h"

#include <algorithm>
#include <cstring>

namespace galleonfs::crash {
namespace {

constexpr size_t kWords = kBlock / kSectorsPerBlock / sizeof(uint64_t);

std::string show(const Contents& contents) {
  std::string text;
  if (std::count(contents.begin(), contents.end(), contents[0]) == kSectorsPerBlock) return text.append(std::to_string(contents[0]));
  for (const uint64_t value : contents) text.append(1, ' ').append(std::to_string(value));
  return text;
}

}  // namespace

void fill(std::byte* block, const Contents& contents) {
  for (size_t i = 0; i < kSectorsPerBlock * kWords; i++) std::memcpy(block + i * 8, &contents[i / kWords], 8);
}

bool contents_of(const std::byte* block, Contents* contents) {
  bool whole = true;
  for (size_t sector = 0; sector < kSectorsPerBlock; sector++) {
    const std::byte* at = block + sector * kWords * 8;
    std::memcpy(&(*contents)[sector], at, 8);
    whole = whole && std::memcmp(at, at + 8, (kWords - 1) * 8) == 0;
  }
  return whole;
}

BlockHistory::BlockHistory(const std::map<uint64_t, Contents>& start) {
  for (const auto& [block, contents] : start) {
    blocks_[block] = {Write{contents, 0, 0, 0}};
    followed_.push_back(block);
  }
}

BlockHistory::Token BlockHistory::begin(const Writes& writes, uint64_t position) {
  Token token;
  for (const auto& [block, contents] : writes) {
    std::vector<Write>& all = blocks_.at(block);
    token.writes.emplace_back(block, all.size());
    all.push_back({.contents = contents, .begun = position});
  }
  return token;
}

void BlockHistory::acknowledge(const Token& token, uint64_t position, bool durable) {
  for (const auto& [block, index] : token.writes) {
    blocks_.at(block)[index].acknowledged = position;
    if (durable) blocks_.at(block)[index].durable = position;
  }
  acknowledgements_.push_back(position);
  if (durable) flushes_.push_back(position);
}

BlockHistory::Mark BlockHistory::mark() const {
  Mark mark;
  for (const auto& [block, writes] : blocks_) {
    for (size_t i = writes.size(); i-- > 0;) {
      if (writes[i].acknowledged == kNever) continue;
      mark[block] = i;
      break;
    }
  }
  return mark;
}

void BlockHistory::durable(const Mark& mark, uint64_t position) {
  for (const auto& [block, index] : mark) {
    uint64_t& durable = blocks_.at(block)[index].durable;
    durable = std::min(durable, position);
  }
  flushes_.push_back(position);
}

uint64_t BlockHistory::promises(Failure failure, uint64_t position) const {
  const std::vector<uint64_t>& given = failure == Failure::kill ? acknowledgements_ : flushes_;
  return static_cast<uint64_t>(std::upper_bound(given.begin(), given.end(), position) - given.begin());
}

std::string BlockHistory::complaint(Failure failure, uint64_t position, uint64_t block, const Contents& contents) const {
  const std::vector<Write>& writes = blocks_.at(block);
  size_t floor = 0;
  for (size_t i = 0; i < writes.size(); i++) {
    const Write& write = writes[i];
    if (i > 0 && write.begun >= position) break;
    if ((failure == Failure::kill ? write.acknowledged : write.durable) <= position) floor = i;
  }
  for (size_t i = floor; i < writes.size() && (i == floor || writes[i].begun < position); i++) {
    if (writes[i].contents == contents) return {};
  }
  return "block " + std::to_string(block) + " holds [" + show(contents) + "], " +
         (ever(block, contents) ? "an older value" : "which was never written to it") + "; " +
         (failure == Failure::kill ? "acknowledged" : "durable") + " is [" + show(writes[floor].contents) + "]";
}

bool BlockHistory::ever(uint64_t block, const Contents& contents) const {
  const std::vector<Write>& writes = blocks_.at(block);
  return std::any_of(writes.begin(), writes.end(), [&](const Write& write) { return write.contents == contents; });
}

}  // namespace galleonfs::crash
