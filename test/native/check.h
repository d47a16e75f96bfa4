// The native tests' frame: TEST("what holds") { CHECK(x); CHECK_EQ(a, b); } and one CHECK_MAIN() a program.
//
//   ./journal_test                 every test, each in a process of its own, with a time limit
//   ./journal_test replay          only those whose name contains "replay"
//   ./journal_test --no-fork replay  in this process, for a debugger
#pragma once
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <string>
#include <type_traits>
#include <vector>

namespace galleonfs::check {

constexpr unsigned kTimeLimitSeconds = 300;

struct Test {
  const char* name;
  void (*run)();
};

inline std::vector<Test>& tests() {
  static std::vector<Test> all;
  return all;
}

struct Registration {
  Registration(const char* name, void (*run)()) { tests().push_back({name, run}); }
};

template <typename T>
std::string show(const T& value) {
  if constexpr (std::is_enum_v<T>) {
    return std::to_string(static_cast<long long>(value));
  } else if constexpr (std::is_same_v<T, uint8_t> || std::is_same_v<T, int8_t> || std::is_same_v<T, std::byte>) {
    return std::to_string(static_cast<int>(value));
  } else if constexpr (requires(std::ostream& out) { out << value; }) {
    std::ostringstream out;
    out << value;
    return out.str();
  } else {
    return "(a value)";
  }
}

[[noreturn]] inline void fail(const char* file, int line, const std::string& what) {
  std::fprintf(stderr, "%s:%d: %s\n", file, line, what.c_str());
  std::fflush(nullptr);
  _exit(1);  // not abort(): other threads may still use what static destructors would take away
}

// Compares integers of unlike signs by value.
template <typename A, typename B>
bool equal(const A& a, const B& b) {
  if constexpr (std::is_integral_v<A> && std::is_integral_v<B> && !std::is_same_v<A, bool> && !std::is_same_v<B, bool>) {
    return a == static_cast<A>(b) && static_cast<B>(a) == b && ((a < A{}) == (b < B{}));
  } else {
    return a == b;
  }
}

inline int run_forked(const Test& test) {
  std::fflush(nullptr);
  pid_t child = fork();
  if (child < 0) {
    std::perror("fork");
    return 1;
  }
  if (child == 0) {
    alarm(kTimeLimitSeconds);
    test.run();
    std::exit(0);  // runs the leak checker
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
  }
  if (WIFEXITED(status)) return WEXITSTATUS(status);
  std::fprintf(stderr, "died of signal %d (%s)%s\n", WTERMSIG(status), strsignal(WTERMSIG(status)),
               WTERMSIG(status) == SIGALRM ? ": the time limit" : "");
  return 1;
}

inline int main(int argc, char** argv) {
  bool forking = true;
  const char* filter = "";
  for (int i = 1; i < argc; i++) {
    if (std::strcmp(argv[i], "--no-fork") == 0) {
      forking = false;
    } else {
      filter = argv[i];
    }
  }
  int passed = 0, failed = 0;
  for (const Test& test : tests()) {
    if (std::strstr(test.name, filter) == nullptr) continue;
    auto start = std::chrono::steady_clock::now();
    int result = 0;
    if (forking) {
      result = run_forked(test);
    } else {
      test.run();
    }
    auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - start).count();
    std::printf("%s %s (%lld ms)\n", result == 0 ? "ok  " : "FAIL", test.name, static_cast<long long>(ms));
    (result == 0 ? passed : failed)++;
  }
  std::printf("%d passed, %d failed\n", passed, failed);
  if (passed + failed == 0 && *filter == '\0') std::printf("no test is registered\n");
  return failed == 0 && (passed > 0 || *filter != '\0') ? 0 : 1;
}

}  // namespace galleonfs::check

#define CHECK_JOIN2(a, b) a##b
#define CHECK_JOIN(a, b) CHECK_JOIN2(a, b)

#define TEST(name)                                                                                     \
  static void CHECK_JOIN(test_, __LINE__)();                                                           \
  static const ::galleonfs::check::Registration CHECK_JOIN(registration_, __LINE__)(                   \
      name, &CHECK_JOIN(test_, __LINE__));                                                             \
  static void CHECK_JOIN(test_, __LINE__)()

#define CHECK(condition)                                                                               \
  do {                                                                                                 \
    if (!(condition)) ::galleonfs::check::fail(__FILE__, __LINE__, "CHECK(" #condition ") is false"); \
  } while (0)

#define CHECK_EQ(actual, expected)                                                                     \
  do {                                                                                                 \
    const auto& check_actual = (actual);                                                               \
    const auto& check_expected = (expected);                                                           \
    if (!::galleonfs::check::equal(check_actual, check_expected))                                      \
      ::galleonfs::check::fail(__FILE__, __LINE__,                                                     \
                               std::string("CHECK_EQ(" #actual ", " #expected "): ") +                 \
                                   ::galleonfs::check::show(check_actual) + " is not " +               \
                                   ::galleonfs::check::show(check_expected));                          \
  } while (0)

#define CHECK_MAIN() \
  int main(int argc, char** argv) { return ::galleonfs::check::main(argc, argv); }
