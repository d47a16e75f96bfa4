// The descriptors that are held, and the socket they come through.
#include "check.h"
#include "supervisor/descriptor_store.h"
#include "supervisor/notify_socket.h"

#include <fcntl.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <string>

using namespace galleonfs::supervisor;
using Added = DescriptorStore::Added;

namespace {

Descriptor memory(const std::string& content = "") {
  Descriptor made(memfd_create("test", MFD_CLOEXEC));
  CHECK_EQ(write(made.number(), content.data(), content.size()), content.size());
  return made;
}

Descriptor copy_of(const Descriptor& original) { return Descriptor(fcntl(original.number(), F_DUPFD_CLOEXEC, 0)); }

std::array<Descriptor, 2> pipe_ends() {
  int ends[2];
  CHECK_EQ(pipe2(ends, O_CLOEXEC), 0);
  return {Descriptor(ends[0]), Descriptor(ends[1])};
}

size_t open_descriptors() {
  size_t count = 0;
  for (int i = 0; i < 1024; i++) count += fcntl(i, F_GETFD) >= 0 ? 1 : 0;
  return count;
}

void send(const NotifySocket& to, const std::string& text, const std::vector<int>& numbers = {}) {
  Descriptor from(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  memcpy(name.sun_path + 1, to.address().data() + 1, to.address().size() - 1);
  iovec vector{const_cast<char*>(text.data()), text.size()};
  msghdr message{};
  message.msg_name = &name;
  message.msg_namelen = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + to.address().size());
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * 16)] = {};
  if (!numbers.empty()) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * numbers.size());
    cmsghdr* c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int) * numbers.size());
    memcpy(CMSG_DATA(c), numbers.data(), sizeof(int) * numbers.size());
  }
  CHECK_EQ(sendmsg(from.number(), &message, 0), text.size());
}

}  // namespace

TEST("descriptors are held in the order of their coming") {
  DescriptorStore store(8);
  CHECK_EQ(store.add(memory(), "b", true), Added::stored);
  CHECK_EQ(store.add(memory(), "a", true), Added::stored);
  CHECK_EQ(store.add(memory(), "b", false), Added::stored);
  std::string names;
  for (const HeldDescriptor& held : store.held()) names += held.name;
  CHECK_EQ(names, std::string("bab"));
}

TEST("the same open file is held once, under its first name") {
  DescriptorStore store(8);
  Descriptor first = memory();
  CHECK_EQ(store.add(copy_of(first), "first", true), Added::stored);
  CHECK_EQ(store.add(std::move(first), "second", true), Added::duplicate);
  CHECK_EQ(store.held().size(), 1u);
  CHECK_EQ(store.held().front().name, std::string("first"));
}

TEST("the same file opened twice is held twice") {
  DescriptorStore store(8);
  CHECK_EQ(store.add(Descriptor(open("/dev/null", O_RDWR | O_CLOEXEC)), "a", true), Added::stored);
  CHECK_EQ(store.add(Descriptor(open("/dev/null", O_RDWR | O_CLOEXEC)), "a", true), Added::stored);
}

TEST("no more are held than the bound says, and the refused one is closed") {
  DescriptorStore store(2);
  const size_t before = open_descriptors();
  CHECK_EQ(store.add(memory(), "a", true), Added::stored);
  CHECK_EQ(store.add(memory(), "b", true), Added::stored);
  CHECK_EQ(store.add(memory(), "c", true), Added::full);
  CHECK_EQ(open_descriptors(), before + 2);
}

TEST("a dead descriptor makes room for a new one") {
  DescriptorStore store(1);
  auto [reading, writing] = pipe_ends();
  CHECK_EQ(store.add(std::move(reading), "pipe", true), Added::stored);
  CHECK_EQ(store.add(memory(), "new", true), Added::full);
  writing.reset();
  CHECK_EQ(store.add(memory(), "new", true), Added::stored);
}

TEST("forgetting a name closes all descriptors of that name") {
  DescriptorStore store(8);
  const size_t before = open_descriptors();
  store.add(memory(), "a", true);
  store.add(memory(), "b", true);
  store.add(memory(), "a", true);
  CHECK_EQ(store.remove("a"), 2u);
  CHECK_EQ(store.remove("a"), 0u);
  CHECK_EQ(open_descriptors(), before + 1);
}

TEST("descriptors whose other end is gone are dropped, unless they are not to be polled") {
  DescriptorStore store(8);
  auto first = pipe_ends();
  auto second = pipe_ends();
  auto third = pipe_ends();
  store.add(memory("kept"), "memory", true);
  store.add(std::move(first[0]), "hung up", true);
  store.add(std::move(second[0]), "not polled", false);
  store.add(std::move(third[0]), "alive", true);
  CHECK_EQ(store.drop_dead(), 0u);
  first[1].reset();
  second[1].reset();
  CHECK_EQ(store.drop_dead(), 1u);
  std::string names;
  for (const HeldDescriptor& held : store.held()) names += held.name + ",";
  CHECK_EQ(names, std::string("memory,not polled,alive,"));
}

TEST("a datagram comes with its sender and its descriptors") {
  NotifySocket socket;
  CHECK_EQ(socket.open(), 0);
  Datagram datagram;
  CHECK(!socket.receive(datagram));
  Descriptor a = memory("content");
  Descriptor b = memory();
  send(socket, "FDSTORE=1", {a.number(), b.number()});
  a.reset();
  CHECK(socket.receive(datagram));
  CHECK_EQ(datagram.text, std::string("FDSTORE=1"));
  CHECK_EQ(datagram.sender, getpid());
  CHECK(!datagram.truncated);
  CHECK_EQ(datagram.descriptors.size(), 2u);
  char content[8] = {};
  CHECK_EQ(pread(datagram.descriptors[0].number(), content, 7, 0), 7);
  CHECK_EQ(std::string(content), std::string("content"));
  CHECK((fcntl(datagram.descriptors[0].number(), F_GETFD) & FD_CLOEXEC) != 0);
}

TEST("the descriptors of a datagram that is not wanted are closed") {
  NotifySocket socket;
  CHECK_EQ(socket.open(), 0);
  Descriptor a = memory();
  const size_t before = open_descriptors();
  for (int i = 0; i < 3; i++) {
    send(socket, "X", {a.number()});
    Datagram datagram;
    CHECK(socket.receive(datagram));
  }
  CHECK_EQ(open_descriptors(), before);
}

TEST("a datagram that is too long is known as such") {
  NotifySocket socket;
  CHECK_EQ(socket.open(), 0);
  send(socket, std::string(5000, 'x'));
  Datagram datagram;
  CHECK(socket.receive(datagram));
  CHECK(datagram.truncated);
}

TEST("two sockets have different names") {
  NotifySocket a, b;
  CHECK_EQ(a.open(), 0);
  CHECK_EQ(b.open(), 0);
  CHECK(a.address() != b.address());
  CHECK(a.address().starts_with(kAddressPrefix));
}

CHECK_MAIN()
