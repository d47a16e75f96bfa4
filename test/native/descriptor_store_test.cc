// The client of the sd_notify protocol, against a store that behaves as systemd does.
#include "fuse/descriptor_store.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <atomic>
#include <functional>
#include <thread>

#include "check.h"
#include "descriptor_store_double.h"
#include "fuse/inherited_descriptors.h"

using namespace galleonfs;
using namespace galleonfs::check;

namespace {

constexpr uint64_t kKey = 0x00f1e2d3c4b5a697;

std::string fresh_path() {
  return "/tmp/galleonfs-notify-" + std::to_string(getpid());
}

// Runs `what` while the store handles its messages.
void with_store(DescriptorStoreDouble& store, const std::function<void()>& what) {
  std::atomic<bool> done{false};
  std::thread handler([&] {
    while (!done) {
      pollfd p{store.socket_fd(), POLLIN, 0};
      if (poll(&p, 1, 5) == 1) store.handle_one();
    }
    store.handle_waiting();
  });
  what();
  done = true;
  handler.join();
}

bool same_file(int a, int b) {
  struct stat x, y;
  CHECK_EQ(fstat(a, &x), 0);
  CHECK_EQ(fstat(b, &y), 0);
  return x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

// In a process started with these variables and these descriptors from 3 on.
int started_with(const char* pid, const char* count, const char* names, const std::function<bool()>& what) {
  fflush(nullptr);
  pid_t child = fork();
  if (child == 0) {
    setenv("LISTEN_PID", pid == nullptr ? std::to_string(getpid()).c_str() : pid, 1);
    setenv("LISTEN_FDS", count, 1);
    if (names != nullptr) setenv("LISTEN_FDNAMES", names, 1);
    for (int fd = 3; fd < 6; fd++) dup2(0, fd);
    _exit(what() ? 0 : 1);
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
  }
  return status;
}

}  // namespace

TEST("a deposited descriptor is with the store when deposit() returns") {
  for (const std::string& address : {fresh_path(), "@galleonfs-test-" + std::to_string(getpid())}) {
    DescriptorStoreDouble store(address);
    fuse::DescriptorStore client(address);
    CHECK(client.present());
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    with_store(store, [&] {
      CHECK_EQ(client.deposit(fuse::connection_name(kKey, 0), fd), 0);
      CHECK_EQ(store.taken.load(), 1u);
    });
    CHECK_EQ(store.stored[0].name, "mount-00f1e2d3c4b5a697-0");
    CHECK(same_file(store.stored[0].fd, fd));
    close(fd);
  }
}

TEST("what is removed is gone, and only that") {
  DescriptorStoreDouble store(fresh_path());
  fuse::DescriptorStore client(store.address());
  with_store(store, [&] {
    CHECK_EQ(client.deposit("a", 0), 0);
    CHECK_EQ(client.deposit("b", 0), 0);
    CHECK_EQ(client.remove("a"), 0);
    CHECK_EQ(client.remove("never there"), 0);
  });
  CHECK_EQ(store.stored.size(), 1u);
  CHECK_EQ(store.stored[0].name, "b");
}

TEST("several threads deposit at once, and each is waited for") {
  DescriptorStoreDouble store(fresh_path());
  fuse::DescriptorStore client(store.address());
  with_store(store, [&] {
    std::vector<std::thread> threads;
    for (uint32_t i = 0; i < 8; i++) {
      threads.emplace_back([&, i] {
        for (uint32_t k = 0; k < 20; k++) CHECK_EQ(client.deposit(fuse::connection_name(kKey, i * 20 + k), 0), 0);
      });
    }
    for (auto& t : threads) t.join();
  });
  CHECK_EQ(store.stored.size(), 160u);
}

TEST("text is passed on as it is") {
  DescriptorStoreDouble store(fresh_path());
  fuse::DescriptorStore client(store.address());
  CHECK_EQ(client.notify("READY=1\nSTATUS=serving"), 0);
  store.handle_waiting();
  CHECK_EQ(store.messages[0], "READY=1\nSTATUS=serving");
}

TEST("without a store, or with one that is gone, deposits fail and nothing else does") {
  for (const char* address : {"", "relative", "/", "@"}) {
    fuse::DescriptorStore none(address);
    CHECK(!none.present());
    CHECK_EQ(none.deposit("a", 0), ENOTCONN);
    CHECK_EQ(none.remove("a"), 0);
    CHECK_EQ(none.notify("READY=1"), ENOTCONN);
  }
  fuse::DescriptorStore gone("/nonexistent/notify");
  CHECK(gone.present());
  CHECK_EQ(gone.deposit("a", 0), ENOENT);
}

TEST("a store that does not answer is given up after the time limit") {
  DescriptorStoreDouble silent(fresh_path());
  fuse::DescriptorStore client(silent.address());
  CHECK_EQ(client.deposit("a", 0), ETIMEDOUT);
}

TEST("names that systemd would refuse are not sent") {
  DescriptorStoreDouble store(fresh_path());
  fuse::DescriptorStore client(store.address());
  for (const std::string& name : {std::string(), std::string("a:b"), std::string("a\nb"), std::string("\x7f"), std::string(256, 'a')}) {
    CHECK_EQ(client.deposit(name, 0), EINVAL);
    CHECK_EQ(client.remove(name), EINVAL);
  }
  CHECK(!store.handle_waiting());
}

TEST("names are read as they are written, and others are not") {
  auto parsed = fuse::parse_connection_name(fuse::connection_name(kKey, 12));
  CHECK(parsed.has_value());
  CHECK_EQ(parsed->key, kKey);
  CHECK_EQ(parsed->index, 12u);
  for (const char* bad : {"", "mount-", "mount-00f1e2d3c4b5a697", "mount-00f1e2d3c4b5a697-", "mount-00f1e2d3c4b5a697-x", "mount-00f1e2d3c4b5a697-1 ",
                          "mount-00F1E2D3C4B5A697-1", "mount-0000000000000000-1", "mount-00f1e2d3c4b5a69-1", "mount-00f1e2d3c4b5a697-99999999999",
                          "slots-00f1e2d3c4b5a697", "mount-00f1e2d3c4b5a697--1"}) {
    CHECK(!fuse::parse_connection_name(bad).has_value());
  }
  CHECK(fuse::is_slots_name(fuse::slots_name(kKey)));
  CHECK(!fuse::is_slots_name("slots-"));
  CHECK(!fuse::is_slots_name("mount-00f1e2d3c4b5a697-0"));
}

TEST("inherited descriptors are taken once, with their names, and closed on exec") {
  CHECK_EQ(started_with(nullptr, "3", "a:b", [] {
             auto all = fuse::take_inherited_descriptors();
             return all.size() == 3 && all[0].name == "a" && all[0].fd == 3 && all[1].name == "b" && all[2].name.empty() && all[2].fd == 5 &&
                    fcntl(3, F_GETFD) == FD_CLOEXEC && getenv("LISTEN_FDS") == nullptr && fuse::take_inherited_descriptors().empty();
           }),
           0);
}

TEST("descriptors meant for another process, or counts that cannot be, are left alone") {
  auto none = [] { return fuse::take_inherited_descriptors().empty(); };
  CHECK_EQ(started_with("1", "3", "a:b:c", none), 0);
  for (const char* count : {"", "0", "-1", "x", "3x", "99999999999999999999"}) CHECK_EQ(started_with(nullptr, count, "a", none), 0);
}

CHECK_MAIN()
