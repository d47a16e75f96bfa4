#include "crash_check.h"

#include <algorithm>
#include <cstring>

namespace galleonfs::crash {
namespace {

using disk::FakeMedium;
using disk::FakeStorage;

uint32_t newest(const FakeMedium::Choice& choice) { return static_cast<uint32_t>(choice.values.size() - 1); }

uint32_t at_time(const FakeMedium::Choice& choice, uint64_t time) {
  uint32_t pick = 0;
  while (pick < newest(choice) && choice.values[pick + 1].time <= time) pick++;
  return pick;
}

uint64_t any_time(const std::vector<FakeMedium::Choice>& choices, std::mt19937_64& random) {
  const FakeMedium::Choice& choice = choices[random() % choices.size()];
  return choice.values[random() % choice.values.size()].time;
}

}  // namespace

std::vector<uint32_t> random_picks(const std::vector<FakeMedium::Choice>& choices, std::mt19937_64& random) {
  std::vector<uint32_t> picks(choices.size());
  if (choices.empty()) return picks;
  const uint64_t manner = random() % 8;
  const uint64_t time = any_time(choices, random);
  const uint64_t odd_one = random() % choices.size();
  std::map<uint32_t, uint64_t> by_file;
  for (size_t i = 0; i < choices.size(); i++) {
    const FakeMedium::Choice& choice = choices[i];
    const auto any = static_cast<uint32_t>(random() % choice.values.size());
    switch (manner) {
      case 0:  // all but one
        picks[i] = i == odd_one ? any : newest(choice);
        break;
      case 1:  // only one
        picks[i] = i == odd_one ? any : 0;
        break;
      case 2:  // some lost
        picks[i] = random() % 8 == 0 ? any : newest(choice);
        break;
      case 3:  // some survive
        picks[i] = random() % 8 == 0 ? any : 0;
        break;
      case 4:  // as of one moment, nearly
        picks[i] = random() % 16 == 0 ? any : at_time(choice, time);
        break;
      case 5: {  // each file as of a moment of its own
        const auto [moment, fresh] = by_file.try_emplace(choice.inode, 0);
        if (fresh) moment->second = any_time(choices, random);
        picks[i] = at_time(choice, moment->second);
        break;
      }
      default:
        picks[i] = any;
    }
  }
  // Half of the time names are as a journalling file system leaves them: a prefix of the changes.
  if (random() % 2 == 0) {
    for (size_t i = 0; i < choices.size() && choices[i].of == FakeMedium::Choice::Of::name; i++) {
      picks[i] = at_time(choices[i], time);
    }
  }
  return picks;
}

CrashCheck::CrashCheck(Lies lies, const store::OpenOptions& options, uint64_t seed)
    : lies_(std::move(lies)), options_(options), cache_(1 << 20), random_(seed) {
  environment_.cache = &cache_;
  environment_.random = [this](void* into, size_t length) {
    for (size_t i = 0; i < length; i++) static_cast<uint8_t*>(into)[i] = static_cast<uint8_t>(random_());
  };
}

std::string CrashCheck::check(const FakeMedium& state, const Promise& promise, uint64_t dice) {
  random_.seed(dice);
  FakeStorage storage(state);
  std::vector<disk::DiskRecord> log;
  const bool twice = random_() % 4 == 0;
  const bool on = random_() % 2 == 0;
  if (twice) storage.record_to(&log);
  std::unique_ptr<store::Store> store;
  std::map<uint64_t, Contents> values;
  std::string wrong = open(storage, promise, &store, &values);
  storage.record_to(nullptr);
  if (!wrong.empty() || store == nullptr || promise.may_be_absent || promise.being_deleted) return wrong;
  if (twice) {
    wrong = crash_recovery(state, log, promise, values);
    if (!wrong.empty()) return "crashed again: " + wrong;
  }
  if (on) wrong = go_on(storage, std::move(store), values);
  if (store != nullptr) storage.kill();
  return wrong.empty() ? wrong : "after the recovery: " + wrong;
}

std::string CrashCheck::open(FakeStorage& storage, const Promise& promise, std::unique_ptr<store::Store>* store,
                             std::map<uint64_t, Contents>* values) {
  opens_++;
  storage.set_lie(lies_.in_recovery ? lies_.in_recovery : lies_.always);
  const store::Failure failed = store::Store::open(storage.attach(), options_, environment_, store);
  storage.set_lie(lies_.always);
  if (failed) {
    const bool nothing_there = failed.code == "STORE_NOT_FOUND" || failed.code == "STORE_SUPERBLOCK_DAMAGED" || failed.code == "STORE_IO";
    if (promise.being_deleted || (promise.may_be_absent && nothing_there)) return {};
    return "not opened: " + failed.code + ": " + failed.detail;
  }
  if (promise.being_deleted) return read_all(**store, promise, values);
  if (promise.may_be_absent) return read_all(**store, promise, values);  // one superblock may not be written yet
  for (const store::Damage& damage : (*store)->damage()) return "damage was reported: " + damage.kind + ": " + damage.detail;
  if ((*store)->recovery().damaged_entries > 0) return "entries were taken for damaged";
  if ((*store)->recovery().used_older_superblock) return "the older superblock was used";
  std::string wrong = read_all(**store, promise, values);
  if (wrong.empty() && !(*store)->damage().empty()) wrong = "damage was found while reading";
  return wrong;
}

std::string CrashCheck::read_all(store::Store& store, const Promise& promise, std::map<uint64_t, Contents>* values) {
  alignas(8) std::byte bytes[kBlock];
  for (const uint64_t block : promise.history->followed()) {
    const std::string which = "block " + std::to_string(block);
    const int error = store.read(block * kBlock, bytes, kBlock);
    Contents& contents = (*values)[block];
    if (error != 0) {
      if (promise.being_deleted) continue;
      const auto damage = store.damage();
      return which + " cannot be read: " + std::strerror(error) + (damage.empty() ? "" : ", " + damage[0].kind + " " + damage[0].detail);
    }
    if (!contents_of(bytes, &contents)) return which + " is mixed";
    if (promise.being_deleted) {
      if (!promise.history->ever(block, contents) && contents != Contents{}) return which + " holds what was never written to it";
      continue;
    }
    std::string wrong = promise.history->complaint(promise.failure, promise.position, block, contents);
    if (!wrong.empty()) return wrong;
  }
  return {};
}

// The recovery was itself cut short, or the crash came just after it, before anything new: then what it showed stays.
std::string CrashCheck::crash_recovery(const FakeMedium& state, const std::vector<disk::DiskRecord>& log,
                                       const Promise& promise, const std::map<uint64_t, Contents>& values) {
  const BlockHistory shown(values);
  for (int round = 0; round < 2; round++) {
    second_crashes_++;
    const bool after = round == 0;
    const size_t count = after ? log.size() : random_() % (log.size() + 1);
    FakeMedium medium = state;
    for (size_t i = 0; i < count; i++) medium.apply(log[i], lies_.in_recovery ? lies_.in_recovery : lies_.always);
    const std::vector<FakeMedium::Choice> choices = medium.choices();
    FakeStorage storage(medium.cut(choices, random_picks(choices, random_)));
    Promise again = promise;
    again.failure = Failure::power;
    if (after) again = {&shown, Failure::power, 0};
    std::unique_ptr<store::Store> store;
    std::map<uint64_t, Contents> unused;
    std::string wrong = open(storage, again, &store, &unused);
    storage.kill();
    if (!wrong.empty()) return (after ? "after recovery's end: " : "after " + std::to_string(count) + " records of recovery: ") + wrong;
  }
  return {};
}

// A short second life.
std::string CrashCheck::go_on(FakeStorage& storage, std::unique_ptr<store::Store> store,
                              const std::map<uint64_t, Contents>& values) {
  BlockHistory history(values);
  uint64_t position = 0;
  alignas(4096) std::byte bytes[kBlock];
  const auto write = [&](uint64_t value) -> std::string {
    const uint64_t block = history.followed()[random_() % history.followed().size()];
    const Contents contents{value, value, value, value, value, value, value, value};
    fill(bytes, contents);
    const BlockHistory::Token token = history.begin({{block, contents}}, position++);
    if (const int error = store->write(block * kBlock, bytes, kBlock, false)) return std::string("a write failed: ") + std::strerror(error);
    history.acknowledge(token, position++, false);
    return {};
  };
  if (std::string wrong = write(1); !wrong.empty()) return wrong;
  const BlockHistory::Mark mark = history.mark();
  if (const int error = store->flush()) return std::string("a flush failed: ") + std::strerror(error);
  history.durable(mark, position++);
  if (std::string wrong = write(2); !wrong.empty()) return wrong;

  const uint64_t manner = random_() % 3;
  if (manner == 0) {
    if (const store::Failure failed = store->close()) return "a close failed: " + failed.detail;
  } else if (manner == 1) {
    storage.kill();
  } else {
    const FakeMedium medium = storage.medium();
    storage.kill();
    store.reset();
    const std::vector<FakeMedium::Choice> choices = medium.choices();
    FakeStorage left(medium.cut(choices, random_picks(choices, random_)));
    return reopen_and_walk(left, {&history, Failure::power, position}, "and a power cut: ");
  }
  store.reset();
  return reopen_and_walk(storage, {&history, Failure::kill, position}, manner == 0 ? "and a restart: " : "and a kill: ");
}

std::string CrashCheck::reopen_and_walk(FakeStorage& storage, const Promise& promise, const char* what) {
  std::unique_ptr<store::Store> store;
  std::map<uint64_t, Contents> now;
  std::string wrong = open(storage, promise, &store, &now);
  return wrong.empty() ? end_and_walk(storage, std::move(store), now) : what + wrong;
}

std::string CrashCheck::end_and_walk(FakeStorage& storage, std::unique_ptr<store::Store> store,
                                     const std::map<uint64_t, Contents>& values) {
  if (const store::Failure failed = store->close()) return "a close failed: " + failed.detail;
  uint64_t live = 0;
  for (const auto& [block, contents] : values) live += contents != Contents{} ? kBlock : 0;
  // A block of zeros that was written is live too.
  if (store->stats().live_bytes < live) return "live bytes are " + std::to_string(store->stats().live_bytes) + ", not " + std::to_string(live);
  store.reset();
  return walk_store(storage.medium(), values);
}

}  // namespace galleonfs::crash
