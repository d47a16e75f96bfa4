// Runs a fuzz target where clang's libFuzzer is missing: mutates the corpus at random, without coverage feedback. Takes the
// libFuzzer options native/Makefile gives, of which -max_total_time and -seed have a meaning here; the seed is printed. The
// input that a target died of is left in <artifact_prefix>crash.
#include <sanitizer/common_interface_defs.h>
#include <signal.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

using Input = std::vector<uint8_t>;
constexpr size_t kInputBytesMax = 8192;

struct Options {
  unsigned seconds = 60;
  uint64_t seed = std::random_device{}();
  std::string artifact_prefix;
  std::vector<std::string> paths;
};

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; i++) {
    std::string argument = argv[i];
    size_t equals = argument.find('=');
    if (argument[0] != '-') {
      options.paths.push_back(argument);
    } else if (argument.rfind("-max_total_time=", 0) == 0) {
      options.seconds = static_cast<unsigned>(std::atoi(argument.c_str() + equals + 1));
    } else if (argument.rfind("-seed=", 0) == 0) {
      options.seed = std::strtoull(argument.c_str() + equals + 1, nullptr, 10);
    } else if (argument.rfind("-artifact_prefix=", 0) == 0) {
      options.artifact_prefix = argument.substr(equals + 1);
    }
  }
  return options;
}

Input read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return Input(std::istreambuf_iterator<char>(file), {});
}

std::vector<Input> read_corpus(const std::vector<std::string>& paths) {
  std::vector<Input> corpus;
  for (const std::string& path : paths) {
    if (std::filesystem::is_regular_file(path)) corpus.push_back(read_file(path));
    if (!std::filesystem::is_directory(path)) continue;
    for (const auto& entry : std::filesystem::directory_iterator(path)) {
      if (entry.is_regular_file()) corpus.push_back(read_file(entry.path()));
    }
  }
  return corpus;
}

Input mutate(Input input, std::mt19937_64& random) {
  static constexpr uint64_t kInteresting[] = {0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fffffff, 0xffffffff, UINT64_MAX};
  size_t changes = 1 + random() % 8;
  for (size_t i = 0; i < changes; i++) {
    size_t at = input.empty() ? 0 : random() % input.size();
    switch (random() % 6) {
      case 0:
        if (!input.empty()) input[at] ^= static_cast<uint8_t>(1u << (random() % 8));
        break;
      case 1:
        if (!input.empty()) input[at] = static_cast<uint8_t>(random());
        break;
      case 2: {
        uint64_t value = kInteresting[random() % std::size(kInteresting)];
        size_t width = size_t{1} << (random() % 4);
        if (at + width <= input.size()) std::memcpy(&input[at], &value, width);
        break;
      }
      case 3:
        input.resize(random() % (kInputBytesMax + 1));
        break;
      case 4:
        if (input.size() < kInputBytesMax) input.insert(input.begin() + static_cast<long>(at), static_cast<uint8_t>(random()));
        break;
      default:
        if (!input.empty()) input.erase(input.begin() + static_cast<long>(at), input.begin() + static_cast<long>(at + random() % (input.size() - at + 1)));
        break;
    }
  }
  if (input.size() > kInputBytesMax) input.resize(kInputBytesMax);
  return input;
}

// What the target is running on, for the moment it dies: a sanitizer's report, or abort().
const Input* running = nullptr;
std::string crash_path;

void keep_input() {
  if (running == nullptr) return;
  std::ofstream file(crash_path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(running->data()), static_cast<std::streamsize>(running->size()));
  std::fprintf(stderr, "input kept in %s\n", crash_path.c_str());
}

void run(const Input& input) {
  running = &input;
  LLVMFuzzerTestOneInput(input.data(), input.size());
  running = nullptr;
}

}  // namespace

int main(int argc, char** argv) {
  Options options = parse(argc, argv);
  std::printf("seed %llu\n", static_cast<unsigned long long>(options.seed));
  std::fflush(stdout);
  std::mt19937_64 random(options.seed);
  crash_path = options.artifact_prefix + "crash";
  __sanitizer_set_death_callback(keep_input);
  signal(SIGABRT, [](int) { keep_input(); });
  std::vector<Input> corpus = read_corpus(options.paths);
  for (const Input& input : corpus) run(input);
  corpus.push_back({});
  corpus.push_back(Input(4096, 0));
  auto end = std::chrono::steady_clock::now() + std::chrono::seconds(options.seconds);
  uint64_t runs = 0;
  for (; std::chrono::steady_clock::now() < end; runs++) run(mutate(corpus[random() % corpus.size()], random));
  std::printf("%llu runs\n", static_cast<unsigned long long>(runs));
}
