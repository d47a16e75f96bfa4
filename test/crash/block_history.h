// What each block of a volume may hold at any point of a disk's log: every value written to it, with the log positions
// at which its write began, was acknowledged, and was known to be durable.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace galleonfs::crash {

constexpr size_t kBlock = 4096;
constexpr size_t kSectorsPerBlock = 8;
// A block's contents: each 512-byte sector is filled with one number; 0: zeros.
using Contents = std::array<uint64_t, kSectorsPerBlock>;

void fill(std::byte* block, const Contents& contents);
// False if the bytes are none that fill() makes.
bool contents_of(const std::byte* block, Contents* contents);

enum class Failure { kill, power };

class BlockHistory {
 public:
  // All blocks named here are followed; they hold `contents`, durably.
  explicit BlockHistory(const std::map<uint64_t, Contents>& start);

  using Writes = std::vector<std::pair<uint64_t, Contents>>;  // block, and all of what it holds then
  struct Token {
    std::vector<std::pair<uint64_t, size_t>> writes;  // block, index
  };
  // Operations that overlap in time must not write the same blocks.
  Token begin(const Writes& writes, uint64_t position);
  void acknowledge(const Token& token, uint64_t position, bool durable);
  // Of a flush: what was acknowledged before `mark` was taken is durable from `position` on.
  using Mark = std::map<uint64_t, size_t>;
  Mark mark() const;
  void durable(const Mark& mark, uint64_t position);

  const Contents& latest(uint64_t block) const { return blocks_.at(block).back().contents; }
  // Whether the write that latest() is of was acknowledged; else older values are possible too.
  bool settled(uint64_t block) const { return blocks_.at(block).back().acknowledged != kNever; }
  const std::vector<uint64_t>& followed() const { return followed_; }
  // So many acknowledgements (kill) or flushes (power) had been given at that position: states before and after differ.
  uint64_t promises(Failure failure, uint64_t position) const;

  // Empty if a disk left by that failure after `position` log records may hold these contents in the block.
  std::string complaint(Failure failure, uint64_t position, uint64_t block, const Contents& contents) const;
  // Whether the block ever held it.
  bool ever(uint64_t block, const Contents& contents) const;

 private:
  static constexpr uint64_t kNever = UINT64_MAX;
  struct Write {
    Contents contents{};
    uint64_t begun = 0;
    uint64_t acknowledged = kNever;
    uint64_t durable = kNever;
  };
  std::map<uint64_t, std::vector<Write>> blocks_;
  std::vector<uint64_t> followed_;
  std::vector<uint64_t> acknowledgements_, flushes_;  // their positions, ascending
};

}  // namespace galleonfs::crash
