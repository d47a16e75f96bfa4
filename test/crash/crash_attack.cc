#include "crash_attack.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <unordered_set>

#include "workload.h"

namespace galleonfs::crash {
namespace {

using disk::DiskRecord;
using disk::FakeMedium;
using disk::FakeOperation;
using disk::FakeStorage;

// With fewer possible states than this, all of them are made.
constexpr uint64_t kExhaustMax = 64;

uint64_t mix(uint64_t a, uint64_t b) {
  const uint64_t x = (a ^ (b + 0x9E3779B97F4A7C15)) * 0xD6E8FEB86659FD93;
  return x ^ x >> 29;
}

std::string show(const DiskRecord& record) {
  static constexpr const char* names[] = {"open", "read", "write", "sync", "reserve", "create", "remove", "list", "sync_directory"};
  std::string text = names[static_cast<int>(record.operation)];
  text.append(" ").append(record.name);
  if (record.operation == FakeOperation::write) {
    text.append(" ").append(std::to_string(record.offset)).append("+").append(std::to_string(record.length));
  }
  return text;
}

// Part of a life: a disk, what was done to it from there, and what was promised after so many records.
struct Scene {
  std::string name;
  FakeMedium start;
  const std::vector<DiskRecord>* log;
  FakeMedium::Lie lie;
  std::function<Promise(Failure, uint64_t position)> promise;
};

class Lives {
 public:
  Lives(const Attack& how, Tally& tally, const std::atomic<bool>& stop)
      : how_(how), tally_(tally), stop_(stop), random_(how.seed * 0x9E3779B97F4A7C15), check_(how.lies, open_options(how.seed % 3 == 1), how.seed) {}
  ~Lives() {
    tally_.distinct += disks_.size();
    tally_.opens += check_.opens();
    tally_.second_crashes += check_.second_crashes();
  }
  Lives(const Lives&) = delete;
  Lives& operator=(const Lives&) = delete;

  std::optional<Finding> run() {
    create();
    for (life_ = 0; life_ < how_.lives && !over(); life_++) live();
    if (!over()) remove();
    return finding_;
  }

 private:
  bool over() const { return finding_.has_value() || stop_; }
  void find(const std::string& where, const std::string& what) {
    if (!finding_) finding_ = {how_.seed, state_, where, what};
  }

  void create() {
    FakeStorage storage;
    storage.set_lie(how_.lies.always);
    std::vector<DiskRecord> log;
    storage.record_to(&log);
    const store::Failure failed = store::Store::create(*storage.attach(), create_options(), check_.environment());
    storage.record_to(nullptr);
    if (failed) return find("creation", failed.detail);
    const BlockHistory history(empty_volume());
    const auto promise = [&](Failure failure, uint64_t position) {
      return Promise{&history, failure, 0, position < log.size()};
    };
    go_through({"creation", FakeMedium(), &log, how_.lies.always, promise});
    disk_ = storage.medium();
    values_ = empty_volume();
  }

  // From the crash before (disk_, promised_) to the next one.
  void live() {
    FakeStorage storage(disk_);
    std::vector<DiskRecord> log;
    storage.record_to(&log);
    std::unique_ptr<store::Store> store;
    const BlockHistory before = history_ != nullptr ? *history_ : BlockHistory(values_);
    const Promise promised = {&before, failure_, position_};
    check_.reseed(random_());
    if (const std::string wrong = check_.open(storage, promised, &store, &values_); !wrong.empty()) {
      return find("life " + std::to_string(life_) + ", its recovery", wrong);
    }
    const BlockHistory shown(values_);
    const auto in_recovery = [&](Failure failure, uint64_t position) {
      if (position == log.size()) return Promise{&shown, failure, 0};
      return Promise{&before, failure == Failure::kill ? failure_ : Failure::power, position_};
    };
    go_through({"life " + std::to_string(life_) + ", recovery", disk_, &log, how_.lies.in_recovery ? how_.lies.in_recovery : how_.lies.always, in_recovery});
    if (over()) return;

    disk_ = storage.medium();
    log.clear();
    auto history = std::make_unique<BlockHistory>(values_);
    const uint64_t seed = random_();
    check_.reseed(seed);
    {
      Workload workload(storage, log, check_.environment(), check_.options(), *history, seed, static_cast<uint64_t>(life_ + 1) * 10000);
      if (how_.seed % 4 == 3) {
        // Four segment files or so more than there are.
        storage.set_capacity(storage.used_bytes() + (4 << 17));
        workload.expect_no_space();
      }
      const std::string wrong = workload.run(std::move(store), how_.steps);
      storage.set_capacity(UINT64_MAX);
      if (!wrong.empty()) find("life " + std::to_string(life_) + ", without a crash", wrong);
    }
    const auto at_work = [&](Failure failure, uint64_t position) { return Promise{history.get(), failure, position}; };
    go_through({"life " + std::to_string(life_), disk_, &log, how_.lies.always, at_work});
    crash(log);
    history_ = std::move(history);
  }

  // Somewhere in that log, later rather than sooner.
  void crash(const std::vector<DiskRecord>& log) {
    position_ = log.size() - random_() % (log.size() / 2 + 1);
    for (uint64_t i = 0; i < position_; i++) disk_.apply(log[i], how_.lies.always);
    failure_ = random_() % 2 == 0 ? Failure::kill : Failure::power;
    if (failure_ == Failure::power) {
      const std::vector<FakeMedium::Choice> choices = disk_.choices();
      disk_ = disk_.cut(choices, random_picks(choices, random_));
    }
  }

  void remove() {
    FakeStorage storage(disk_);
    std::vector<DiskRecord> log;
    storage.record_to(&log);
    std::vector<std::string> names = storage.names();
    std::shuffle(names.begin(), names.end(), random_);
    const auto disk = storage.attach();
    for (const std::string& name : names) (void)disk->remove(name);
    (void)disk->sync_directory();
    const auto promise = [&](Failure failure, uint64_t) { return Promise{history_.get(), failure, position_, true, true}; };
    go_through({"deletion", disk_, &log, how_.lies.always, promise});
  }

  void go_through(const Scene& scene) {
    FakeMedium medium = scene.start;
    tally_.records += scene.log->size();
    for (uint64_t position = 0; position <= scene.log->size() && !over(); position++) {
      if (position > 0) medium.apply((*scene.log)[position - 1], scene.lie);
      const auto where = [&] {
        std::string text = scene.name;
        text.append(", after record ").append(std::to_string(position)).append(" of ").append(std::to_string(scene.log->size()));
        if (position > 0) text.append(": ").append(show((*scene.log)[position - 1]));
        return text;
      };
      consider(medium, scene, Failure::kill, position, where);
      cut(medium, scene, position, where);
    }
  }

  template <class Where>
  void cut(const FakeMedium& medium, const Scene& scene, uint64_t position, const Where& where) {
    const std::vector<FakeMedium::Choice> choices = medium.choices();
    uint64_t possible = 1;
    for (const FakeMedium::Choice& choice : choices) possible = std::min(kExhaustMax + 1, possible * choice.values.size());
    std::vector<uint32_t> picks(choices.size());
    if (possible <= kExhaustMax) {
      for (uint64_t i = 0; i < possible && !over(); i++) {
        uint64_t rest = i;
        for (size_t k = 0; k < choices.size(); k++) {
          picks[k] = static_cast<uint32_t>(rest % choices[k].values.size());
          rest /= choices[k].values.size();
        }
        consider(medium.cut(choices, picks), scene, Failure::power, position, where);
      }
      tally_.points_exhausted++;
      return;
    }
    consider(medium.cut(choices, picks), scene, Failure::power, position, where);
    for (size_t k = 0; k < choices.size(); k++) picks[k] = static_cast<uint32_t>(choices[k].values.size() - 1);
    consider(medium.cut(choices, picks), scene, Failure::power, position, where);
    for (uint32_t i = 0; i < how_.states_max && !over(); i++) {
      consider(medium.cut(choices, random_picks(choices, random_)), scene, Failure::power, position, where);
    }
  }

  template <class Where>
  void consider(const FakeMedium& state, const Scene& scene, Failure failure, uint64_t position, const Where& where) {
    if (over()) return;
    state_++;
    tally_.states++;
    if (how_.only_state.has_value() && state_ != *how_.only_state) return;
    const Promise promise = scene.promise(failure, position);
    const uint64_t hash = state.hash();
    disks_.insert(hash);
    // Of a killed process it also matters what is not durable yet.
    uint64_t key = mix(mix(hash, static_cast<uint64_t>(failure)), reinterpret_cast<uintptr_t>(promise.history));
    key = mix(key, promise.history->promises(promise.failure, promise.position) * 4 + promise.may_be_absent * 2 + promise.being_deleted);
    if (!seen_.insert(key).second) return;
    tally_.checked++;
    const std::string wrong = check_.check(state, promise, mix(how_.seed, state_));
    if (!wrong.empty()) find(where() + (failure == Failure::kill ? ", killed" : ", power cut"), wrong);
  }

  const Attack& how_;
  Tally& tally_;
  const std::atomic<bool>& stop_;
  std::mt19937_64 random_;
  CrashCheck check_;
  int life_ = 0;
  uint64_t state_ = 0;
  std::optional<Finding> finding_;
  std::unordered_set<uint64_t> disks_, seen_;
  // The crash between two lives.
  FakeMedium disk_;
  std::map<uint64_t, Contents> values_;
  std::unique_ptr<BlockHistory> history_;
  Failure failure_ = Failure::kill;
  uint64_t position_ = 0;
};

}  // namespace

std::optional<Finding> attack(const Attack& how, Tally& tally, const std::atomic<bool>& stop) {
  return Lives(how, tally, stop).run();
}

}  // namespace galleonfs::crash
