// What must hold of a store on a disk that a crash left.
#pragma once
#include <memory>
#include <random>

#include "block_history.h"
#include "disk/fake_disk.h"
#include "store/page_cache.h"
#include "store/store.h"
#include "store_walk.h"

namespace galleonfs::crash {

// Disks that lie, for showing that the model finds what follows from it.
struct Lies {
  disk::FakeMedium::Lie always;
  disk::FakeMedium::Lie in_recovery;
};

// What was promised to the volume's user when the crash came.
struct Promise {
  const BlockHistory* history;
  Failure failure;
  uint64_t position;            // in the history's log
  bool may_be_absent = false;   // its creation had not returned
  bool being_deleted = false;   // files of it may be missing: only foreign data would be wrong
};

class CrashCheck {
 public:
  CrashCheck(Lies lies, const store::OpenOptions& options, uint64_t seed);

  // Empty if all holds. `dice` decides which of the more costly things are tried: a second crash within the recovery;
  // new writes, and then a clean end, a kill or a power cut, and the walk of everything on disk.
  std::string check(const disk::FakeMedium& state, const Promise& promise, uint64_t dice);

  // Opens as a restarted daemon does; `values` gets what all followed blocks hold.
  std::string open(disk::FakeStorage& storage, const Promise& promise, std::unique_ptr<store::Store>* store,
                   std::map<uint64_t, Contents>* values);
  // All chance from here on, in stores too, comes from this seed.
  void reseed(uint64_t seed) { random_.seed(seed); }
  const store::Environment& environment() const { return environment_; }
  const store::OpenOptions& options() const { return options_; }
  uint64_t opens() const { return opens_; }
  uint64_t second_crashes() const { return second_crashes_; }

 private:
  std::string read_all(store::Store& store, const Promise& promise, std::map<uint64_t, Contents>* values);
  std::string crash_recovery(const disk::FakeMedium& state, const std::vector<disk::DiskRecord>& log,
                             const Promise& promise, const std::map<uint64_t, Contents>& values);
  std::string go_on(disk::FakeStorage& storage, std::unique_ptr<store::Store> store, const std::map<uint64_t, Contents>& values);
  std::string reopen_and_walk(disk::FakeStorage& storage, const Promise& promise, const char* what);
  std::string end_and_walk(disk::FakeStorage& storage, std::unique_ptr<store::Store> store,
                           const std::map<uint64_t, Contents>& values);

  const Lies lies_;
  const store::OpenOptions options_;
  store::PageCache cache_;
  std::mt19937_64 random_;
  store::Environment environment_;
  uint64_t opens_ = 0, second_crashes_ = 0;
};

// Picks for a power cut in which, at random, few or many things differ from all old, all new, or one moment in between.
std::vector<uint32_t> random_picks(const std::vector<disk::FakeMedium::Choice>& choices, std::mt19937_64& random);

}  // namespace galleonfs::crash
