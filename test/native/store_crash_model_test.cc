// Every state that a crash may leave of a recorded history, opened and checked (test/crash).
//
//   store_crash_model_test                       as part of the tests: at least 200,000 distinct states, and disks that lie
//   store_crash_model_test --seconds 600         for so long
//   store_crash_model_test --hunt 240            with a bug planted: must find it within so many seconds
//   store_crash_model_test --seed S [--state N]  one volume's lives again, or one state of them
#include <thread>

#include "check.h"
#include "crash/crash_attack.h"

using namespace galleonfs;
using namespace galleonfs::crash;

namespace {

#if defined(__SANITIZE_THREAD__)
constexpr uint64_t kDistinctWanted = 200;  // each attack has one thread: there are no races to find
constexpr int kLives = 1;
#elif defined(__SANITIZE_ADDRESS__)
constexpr uint64_t kDistinctWanted = 5000;
constexpr int kLives = 2;
#else
constexpr uint64_t kDistinctWanted = 200000;
constexpr int kLives = 3;
#endif

std::string program;

void print(const Finding& finding) {
  std::fprintf(stderr, "%s: %s\nagain: %s --seed %llu --state %llu\n", finding.where.c_str(), finding.what.c_str(),
               program.c_str(), static_cast<unsigned long long>(finding.seed), static_cast<unsigned long long>(finding.state));
}

// Attacks with seed after seed until so many distinct states were seen, so much time went by, or something was found.
struct Campaign {
  uint64_t first_seed = 1;
  uint64_t distinct = UINT64_MAX;
  double seconds = 1e9;
  uint64_t seeds = UINT64_MAX;
  Lies lies;
};

std::optional<Finding> run(const Campaign& campaign, Tally& tally) {
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> next{campaign.first_seed};
  std::mutex mutex;
  std::optional<Finding> found;
  const auto start = std::chrono::steady_clock::now();
  const auto seconds = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(); };
  const auto work = [&] {
    while (!stop) {
      Attack how;
      how.seed = next++;
      how.lies = campaign.lies;
      how.lives = kLives;
      if (how.seed - campaign.first_seed >= campaign.seeds) return;
      if (std::optional<Finding> finding = attack(how, tally, stop)) {
        const std::lock_guard lock(mutex);
        if (!found) found = finding;
        stop = true;
      }
      if (tally.distinct >= campaign.distinct || seconds() >= campaign.seconds) stop = true;
    }
  };
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < std::clamp(std::thread::hardware_concurrency(), 1u, 2u); i++) threads.emplace_back(work);
  for (std::thread& thread : threads) thread.join();
  const double took = seconds();
  std::printf("  seeds %llu to %llu: %llu log records, %llu states, %llu distinct disks, %llu checked, %llu recoveries, "
              "%llu crashes of recoveries, every state at %llu records; %.1f s, %.0f states a minute\n",
              static_cast<unsigned long long>(campaign.first_seed), static_cast<unsigned long long>(next - 1),
              static_cast<unsigned long long>(tally.records), static_cast<unsigned long long>(tally.states),
              static_cast<unsigned long long>(tally.distinct), static_cast<unsigned long long>(tally.checked),
              static_cast<unsigned long long>(tally.opens), static_cast<unsigned long long>(tally.second_crashes),
              static_cast<unsigned long long>(tally.points_exhausted), took,
              static_cast<double>(tally.checked) * 60 / took);
  return found;
}

// What a disk like that does to flushed data, or to the store, must be found.
void must_find(const char* lie, Lies lies) {
  Tally tally;
  const auto found = run({.seconds = 240, .seeds = 200, .lies = std::move(lies)}, tally);
  if (!found) check::fail(__FILE__, __LINE__, std::string("not found: ") + lie);
  std::printf("  found (%s): %s: %s\n", lie, found->where.c_str(), found->what.c_str());
}

bool is_segment(const std::string& name) { return name.starts_with("segment-"); }

int again(int argc, char** argv) {
  Attack how;
  how.lives = kLives;
  Campaign campaign;
  bool hunting = false;
  for (int i = 1; i + 1 < argc; i += 2) {
    const uint64_t value = std::strtoull(argv[i + 1], nullptr, 10);
    if (std::strcmp(argv[i], "--seed") == 0) how.seed = value;
    if (std::strcmp(argv[i], "--state") == 0) how.only_state = value;
    if (std::strcmp(argv[i], "--seconds") == 0) campaign.seconds = static_cast<double>(value);
    if (std::strcmp(argv[i], "--hunt") == 0) campaign.seconds = static_cast<double>(value), hunting = true;
    if (std::strcmp(argv[i], "--first-seed") == 0) campaign.first_seed = value;
  }
  Tally tally;
  std::atomic<bool> stop{false};
  const bool timed = campaign.seconds < 1e9;
  const std::optional<Finding> found = timed ? run(campaign, tally) : attack(how, tally, stop);
  if (found) {
    print(*found);
  } else {
    std::printf("nothing found\n");
  }
  return found.has_value() == hunting ? 0 : 1;
}

}  // namespace

TEST("no crash takes what was promised, in any of hundreds of thousands of states") {
  Tally tally;
  const auto found = run({.distinct = kDistinctWanted, .lies = {}}, tally);
  if (found) print(*found);
  CHECK(!found);
  CHECK(tally.distinct >= kDistinctWanted);
}

TEST("a disk whose flush leaves the summary out is found") {
  must_find("flush without the summary", {.always = [](disk::FakeOperation operation, const std::string& name, uint64_t offset) {
    return operation == disk::FakeOperation::sync && is_segment(name) && offset >= 8192 && offset < 65536;
  }, .in_recovery = {}});
}

TEST("a superblock before its pages is found") {
  must_find("pages of the map are not synced", {.always = [](disk::FakeOperation operation, const std::string& name, uint64_t) {
    return operation == disk::FakeOperation::sync && name == "map";
  }, .in_recovery = {}});
}

TEST("a recycled segment whose old header stays is found") {
  must_find("headers are written once", {.always = [](disk::FakeOperation operation, const std::string& name, uint64_t offset) {
    return operation == disk::FakeOperation::write && is_segment(name) && offset < 8192 && name == "segment-00000000";
  }, .in_recovery = {}});
}

TEST("a file whose name is never synced is found") {
  must_find("directory syncs do nothing", {.always = [](disk::FakeOperation operation, const std::string& name, uint64_t) {
    return operation == disk::FakeOperation::sync_directory && is_segment(name);
  }, .in_recovery = {}});
}

TEST("a recovery that does not sync what it replayed is found") {
  must_find("no segment is synced in recovery", {.always = {}, .in_recovery = [](disk::FakeOperation operation, const std::string& name, uint64_t) {
    return operation == disk::FakeOperation::sync && is_segment(name);
  }});
}

int main(int argc, char** argv) {
  program = argv[0];
  if (argc > 2 && std::strncmp(argv[1], "--", 2) == 0 && std::strcmp(argv[1], "--no-fork") != 0) return again(argc, argv);
  return check::main(argc, argv);
}
