// How fast a FUSE block file can be on this machine: a measuring stick for the bench, not a design.
//
//   fuse_ceiling MOUNT_POINT SIZE_MIB
//
// MOUNT_POINT/data, SIZE_MIB of memory, until it is unmounted or the process ends. Answers each request from one thread
// per descriptor with one read() and one write(), and does nothing else: no locks, no checks, no checksums. Needs root.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define THREADS 4
#define TRANSFER_BYTES_MAX (1u << 20)
#define REQUEST_BYTES_MAX (TRANSFER_BYTES_MAX + 4096)
#define CACHE_SECONDS 3600
#define DATA_NODE 2

static char *memory;
static uint64_t memory_bytes;

static void fail(const char *doing) {
  perror(doing);
  exit(1);
}

static struct fuse_attr attributes_of(uint64_t node) {
  struct fuse_attr a = {.ino = node, .nlink = 1, .blksize = 4096, .mode = S_IFDIR | 0755};
  if (node == DATA_NODE) {
    a.mode = S_IFREG | 0600;
    a.size = memory_bytes;
    a.blocks = memory_bytes / 512;
  }
  return a;
}

static void answer(int fd, const struct fuse_in_header *to, int error, const void *body, size_t body_bytes) {
  struct fuse_out_header head = {.unique = to->unique, .error = -error, .len = sizeof head + body_bytes};
  const struct iovec parts[] = {{&head, sizeof head}, {(void *)body, body_bytes}};
  if (writev(fd, parts, body_bytes > 0 ? 2 : 1) < 0 && errno != ENOENT) perror("answer");
}

#define ANSWER(body) answer(fd, head, 0, &(body), sizeof(body))

static void handle(int fd, const struct fuse_in_header *head) {
  const void *arguments = head + 1;
  switch (head->opcode) {
    case FUSE_INIT: {
      const struct fuse_init_in *in = arguments;
      const uint32_t wanted = FUSE_ASYNC_READ | FUSE_BIG_WRITES | FUSE_ASYNC_DIO | FUSE_MAX_PAGES;
      struct fuse_init_out out = {.major = FUSE_KERNEL_VERSION, .minor = FUSE_KERNEL_MINOR_VERSION,
                                  .flags = in->flags & wanted, .max_readahead = TRANSFER_BYTES_MAX,
                                  .max_write = TRANSFER_BYTES_MAX, .max_pages = TRANSFER_BYTES_MAX / 4096,
                                  .max_background = 64, .congestion_threshold = 48};
      ANSWER(out);
      return;
    }
    case FUSE_LOOKUP: {
      struct fuse_entry_out out = {.nodeid = DATA_NODE, .entry_valid = CACHE_SECONDS, .attr_valid = CACHE_SECONDS,
                                   .attr = attributes_of(DATA_NODE)};
      if (strcmp(arguments, "data") == 0) ANSWER(out);
      else answer(fd, head, ENOENT, NULL, 0);
      return;
    }
    case FUSE_GETATTR:
    case FUSE_SETATTR: {
      struct fuse_attr_out out = {.attr_valid = CACHE_SECONDS, .attr = attributes_of(head->nodeid)};
      ANSWER(out);
      return;
    }
    case FUSE_OPEN: {
      struct fuse_open_out out = {.open_flags = FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES};
      ANSWER(out);
      return;
    }
    case FUSE_READ: {
      const struct fuse_read_in *in = arguments;
      uint64_t left = in->offset < memory_bytes ? memory_bytes - in->offset : 0;
      answer(fd, head, 0, memory + in->offset, in->size < left ? in->size : left);
      return;
    }
    case FUSE_WRITE: {
      const struct fuse_write_in *in = arguments;
      struct fuse_write_out out = {.size = in->size};
      if (in->offset + in->size > memory_bytes) {
        answer(fd, head, ENOSPC, NULL, 0);
        return;
      }
      memcpy(memory + in->offset, in + 1, in->size);
      ANSWER(out);
      return;
    }
    case FUSE_FLUSH:
    case FUSE_FSYNC:
    case FUSE_RELEASE:
      answer(fd, head, 0, NULL, 0);
      return;
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
    case FUSE_INTERRUPT:
      return;
    default:
      answer(fd, head, ENOSYS, NULL, 0);
  }
}

static void *serve(void *descriptor) {
  const int fd = (int)(intptr_t)descriptor;
  char *request = mmap(NULL, REQUEST_BYTES_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (request == MAP_FAILED) fail("mmap");
  for (;;) {
    if (read(fd, request, REQUEST_BYTES_MAX) >= 0) handle(fd, (const struct fuse_in_header *)request);
    else if (errno == ENODEV) return NULL;  // unmounted
    else if (errno != EINTR && errno != EAGAIN && errno != ENOENT) fail("read /dev/fuse");
  }
}

static int open_device(void) {
  const int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
  if (fd < 0) fail("/dev/fuse");
  return fd;
}

int main(int argc, char **argv) {
  if (argc != 3) {
    fprintf(stderr, "usage: %s MOUNT_POINT SIZE_MIB\n", argv[0]);
    return 2;
  }
  memory_bytes = strtoull(argv[2], NULL, 10) << 20;
  memory = mmap(NULL, memory_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (memory == MAP_FAILED) fail("mmap");

  const int first = open_device();
  char options[96];
  snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", first);
  if (mount("fuse_ceiling", argv[1], "fuse.ceiling", MS_NOSUID | MS_NODEV, options) != 0) fail("mount");

  // A descriptor can be cloned only once the connection is up, so INIT is answered here.
  char init[FUSE_MIN_READ_BUFFER] __attribute__((aligned(8)));
  if (read(first, init, sizeof init) < 0) fail("INIT");
  handle(first, (const struct fuse_in_header *)init);

  pthread_t threads[THREADS];
  for (int i = 0; i < THREADS; ++i) {
    const int fd = i == 0 ? first : open_device();
    uint32_t source = (uint32_t)first;
    if (i > 0 && ioctl(fd, FUSE_DEV_IOC_CLONE, &source) != 0) fail("FUSE_DEV_IOC_CLONE");
    if (pthread_create(&threads[i], NULL, serve, (void *)(intptr_t)fd) != 0) fail("pthread_create");
  }
  for (int i = 0; i < THREADS; ++i) pthread_join(threads[i], NULL);
  return 0;
}
