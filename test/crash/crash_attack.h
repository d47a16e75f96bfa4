// Goes through the lives of one volume, from its creation to its deletion, with crashes in between, and at every record of
// each life's disk log makes the states a kill or a power cut may leave (see fake_medium.h) and checks them.
#pragma once
#include <atomic>
#include <optional>
#include <string>

#include "crash_check.h"

namespace galleonfs::crash {

struct Tally {
  std::atomic<uint64_t> states{0};    // made
  std::atomic<uint64_t> checked{0};   // of them, not the same disk with the same promises as an earlier one
  std::atomic<uint64_t> distinct{0};  // disks
  std::atomic<uint64_t> opens{0};
  std::atomic<uint64_t> second_crashes{0};
  std::atomic<uint64_t> records{0};
  std::atomic<uint64_t> points_exhausted{0};  // log records at which every possible state was made
};

struct Finding {
  uint64_t seed = 0;
  uint64_t state = 0;
  std::string where;
  std::string what;
};

struct Attack {
  uint64_t seed = 1;
  Lies lies;
  std::optional<uint64_t> only_state;
  int lives = 3;
  int steps = 40;             // operations a life
  uint32_t states_max = 16;   // at random at each record, where there are too many to make all
};

// The first thing that does not hold; `stop` ends it early.
std::optional<Finding> attack(const Attack& how, Tally& tally, const std::atomic<bool>& stop);

}  // namespace galleonfs::crash
