/*
 * A program that can be hijacked, for measuring how soon a guard notices. It reads lines: words to work on, or
 * `attack KIND`, at which it does to itself what an attacker does with a memory error: it writes over a return
 * address or a pointer. What follows runs real hijacked control flow, and then `payload`, at full speed.
 *
 * The moment of the hijack, CLOCK_MONOTONIC in ns, goes to the file named by the first argument, by a write to
 * shared memory that no system call delays.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile uint64_t *moment;
static volatile unsigned sink;
static unsigned rounds = 200;

static unsigned hash_add(const char *s) { unsigned h = 1; while (*s) h += (unsigned char)*s++; return h; }
static unsigned hash_mul(const char *s) { unsigned h = 7; while (*s) h = h * 31 + (unsigned char)*s++; return h; }
static unsigned hash_xor(const char *s) { unsigned h = 3; while (*s) h ^= (h << 5) + (unsigned char)*s++; return h; }
/* Its address is taken, but no line leads to it. */
unsigned debug_dump(const char *s) { return s[0] ? hash_add(s + 1) * 2 : 0; }

static unsigned (*volatile table[4])(const char *) = {hash_add, hash_mul, hash_xor, hash_add};
unsigned (*volatile spare)(const char *) = debug_dump;

static int by_value(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

static void work(const char *word) {
  int values[32];
  for (unsigned round = 0; round < rounds; round++) {
    unsigned h = table[(round + strlen(word)) & 3](word);
    for (int i = 0; i < 32; i++) values[i] = (int)((h >> (i & 15)) & 255);
    qsort(values, 32, sizeof values[0], by_value);
    switch (h & 3) {
      case 0: sink += (unsigned)values[0]; break;
      case 1: sink ^= (unsigned)values[31]; break;
      case 2: sink -= h; break;
      default: sink += h >> 3;
    }
  }
}

static void now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  *moment = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* What the attacker is after: work at full speed for a while. */
void payload(void) {
  for (int i = 0; i < 400; i++) work("payload");
  _exit(3);
}

/* Two instructions in the middle of a function, as a chain uses them. */
__attribute__((noinline, used)) void holder(void) {
  __asm__ volatile("jmp 1f\n.globl gadget\ngadget: pop %rdi\nret\n.globl gadget_jump\ngadget_jump: add $1, %rbx\njmp *%rdx\n1:");
}
extern char gadget[], gadget_jump[];

static uintptr_t far, getter;

/* Finds `pop rdi; ret` in the C library. */
static uintptr_t far_gadget(void) {
  const unsigned char *at = (const unsigned char *)dlsym(RTLD_DEFAULT, "qsort");
  for (at = (const unsigned char *)((uintptr_t)at & ~0xfffull);; at++)
    if (at[0] == 0x5f && at[1] == 0xc3) return (uintptr_t)at;
}

__attribute__((noinline)) static void overflow(const uintptr_t *chain, size_t words) {
  uintptr_t *saved = (uintptr_t *)__builtin_frame_address(0) + 1;
  now();
  for (size_t i = 0; i < words; i++) ((volatile uintptr_t *)saved)[i] = chain[i];
}

__attribute__((noinline)) static void attack(const char *kind) {
  if (strcmp(kind, "rop_near") == 0) {
    uintptr_t chain[] = {(uintptr_t)gadget, 1, (uintptr_t)gadget, 2, (uintptr_t)payload, 0};
    overflow(chain, 6);
  }
  if (strcmp(kind, "rop_far") == 0) {
    uintptr_t chain[] = {far, 1, far, 2, (uintptr_t)payload, 0};
    overflow(chain, 6);
  }
  if (strcmp(kind, "ret2libc") == 0) {
    uintptr_t chain[] = {getter, (uintptr_t)payload, 0};
    overflow(chain, 3);
  }
  if (strcmp(kind, "jop") == 0) {
    now();
    __asm__ volatile("mov %0, %%rax\nmov %1, %%rdx\njmp *%%rax" : : "r"(gadget_jump), "r"(payload) : "rax", "rdx", "rbx");
  }
  if (strcmp(kind, "pointer") == 0) {
    for (int i = 0; i < 4; i++) table[i] = (unsigned (*)(const char *))spare;
    now();
    for (int i = 0; i < 400; i++) work("pointer");
    _exit(3);
  }
}

/* Works in a forked child, and waits for it. */
static void in_child(void) {
  pid_t child = fork();
  if (child == 0) {
    work("child");
    _exit(0);
  }
  waitpid(child, NULL, 0);
}

/* Runs another program, and waits for it. */
static void run(const char *path) {
  pid_t child = fork();
  if (child == 0) {
    execl(path, path, "-s", (char *)NULL);
    _exit(127);
  }
  waitpid(child, NULL, 0);
}

int main(int argc, char **argv) {
  char line[256];
  static uint64_t nowhere;
  moment = &nowhere;
  if (argc > 1) {
    int file = open(argv[1], O_RDWR | O_CREAT, 0600);
    if (file >= 0 && ftruncate(file, 8) == 0)
      moment = mmap(NULL, 8, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  }
  if (argc > 2) rounds = (unsigned)atoi(argv[2]);
  /* Harmless runs do all of this, too: only the hijack itself is new. */
  far = far_gadget();
  getter = (uintptr_t)dlsym(RTLD_DEFAULT, "getppid");
  now();
  attack("nothing");
  while (fgets(line, sizeof line, stdin)) {
    line[strcspn(line, "\n")] = 0;
    if (strncmp(line, "attack ", 7) == 0) attack(line + 7);
    else if (strcmp(line, "fork") == 0) in_child();
    else if (strncmp(line, "run ", 4) == 0) run(line + 4);
    else if (strncmp(line, "sleep ", 6) == 0) usleep((useconds_t)atoi(line + 6) * 1000);
    else work(line);
  }
  printf("%u\n", sink != 0);
  return 0;
}
