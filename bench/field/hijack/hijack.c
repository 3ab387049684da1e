// A library that hijacks the control flow of the program that it is loaded into, to order.
//
// It counts allocations, and at the N-th one it writes up to 64 words to memory, as a program's own
// memory error might: over return addresses, pointers or data. Where and what says a plan
// (`hijack.plan` in the working folder). A dry plan makes the same number of writes to a dummy word,
// so that harmless runs execute the same instructions of this library as hijacked ones.
//
// For making plans it can write out what lies in memory at that moment (`hijack.dump`).
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MOST_WRITES 64

struct plan {
  uint64_t magic;  // "HIJACK01"
  uint64_t dry;    // 0: writes go where the plan says; 1: to a dummy
  uint64_t fire;   // number of the allocation, from 1 on; 0: never
  uint64_t dump;   // 1: write out memory when it fires, and the number of allocations at exit
  struct {
    uint64_t address;
    uint64_t value;
  } writes[MOST_WRITES];
};

static struct plan plan;
static uint64_t allocations;
static volatile uint64_t dummy;
// Memory for what a plan brings along: chains, tables, texts.
volatile uint64_t hijack_space[512] __attribute__((aligned(4096)));
// A page that may be written and executed.
uint8_t *hijack_page;

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);

static void put(int file, const void *bytes, size_t length) {
  const char *at = bytes;
  while (length > 0) {
    // The kernel copies, so that a page which cannot be read is an error here and no fault.
    long done = syscall(SYS_write, file, at, length);
    if (done <= 0) break;
    at += done;
    length -= done;
  }
}

// Writes the memory map, and then each readable region: start, length, bytes.
static void write_dump(uint64_t stack) {
  static char maps[65536];
  int source = open("/proc/self/maps", O_RDONLY);
  size_t length = 0;
  for (long got; (got = read(source, maps + length, sizeof maps - 1 - length)) > 0;) length += got;
  close(source);
  maps[length] = 0;
  int file = open("hijack.dump", O_WRONLY | O_CREAT | O_TRUNC, 0600);
  uint64_t head[] = {stack, (uint64_t)hijack_space, (uint64_t)hijack_page, length};
  put(file, head, sizeof head);
  put(file, maps, length);
  for (char *line = maps; *line != 0; line = strchr(line, '\n') + 1) {
    unsigned long start, end;
    char rights[8];
    if (sscanf(line, "%lx-%lx %7s", &start, &end, rights) != 3) break;
    if (rights[0] != 'r' || rights[3] == 's') continue;
    if (stack > start && stack < end) start = stack;
    if (end - start > 8 << 20) continue;
    uint64_t region[] = {start, end - start};
    put(file, region, sizeof region);
    put(file, (void *)start, end - start);
  }
  close(file);
}

__attribute__((noinline)) void hijack_fire(void) {
  if (plan.dump) write_dump((uint64_t)__builtin_frame_address(0));
  uint64_t mask = -plan.dry;
  for (int i = 0; i < MOST_WRITES; i++) {
    uint64_t address = plan.writes[i].address;
    address ^= (address ^ (uint64_t)&dummy) & (mask | -(uint64_t)(address == 0));
    *(volatile uint64_t *)address = plan.writes[i].value;
  }
}

static inline void count(void) {
  if (++allocations == plan.fire) hijack_fire();
}

void *malloc(size_t size) {
  count();
  return __libc_malloc(size);
}

void *calloc(size_t number, size_t size) {
  count();
  return __libc_calloc(number, size);
}

void *realloc(void *old, size_t size) {
  count();
  return __libc_realloc(old, size);
}

__attribute__((constructor)) static void start(void) {
  hijack_page = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  allocations = 0;
  int file = open("hijack.plan", O_RDONLY);
  if (file < 0) return;
  long got = read(file, &plan, sizeof plan);
  close(file);
  if (got != sizeof plan || plan.magic != 0x31304b43414a4948) plan.fire = plan.dump = 0;
}

__attribute__((destructor)) static void finish(void) {
  if (!plan.dump) return;
  int file = open("hijack.count", O_WRONLY | O_CREAT | O_TRUNC, 0600);
  put(file, &allocations, sizeof allocations);
  close(file);
}
