/* Coroutines of which all run in the same place: their stacks are copied out and in, as Python's greenlets do. */
#include "strike.h"

struct coroutine {
  char *copy;
  size_t size;
  int has_begun;
};
static struct coroutine home, all[3], *current = &home, *target;
/* Above all that is copied. */
static char *base;
static volatile int strikes;

__attribute__((noinline)) static int save(char *low) {
  current->size = base - low;
  current->copy = realloc(current->copy, current->size);
  memcpy(current->copy, low, current->size);
  return target->has_begun;
}

__attribute__((noinline)) static void restore(void) {
  memcpy(base - target->size, target->copy, target->size);
  current = target;
}

/* Returns once more in each coroutine that is gone on with; 1 in one that begins. */
#ifdef __x86_64__
__attribute__((noinline, optimize("no-omit-frame-pointer"))) static int change(void) {
  register char *low;
  __asm__ volatile("" : : : "memory", "rbx", "r12", "r13", "r14", "r15");
  __asm__ volatile("mov %%rsp, %0" : "=r"(low));
  if (!save(low)) return 1;
  __asm__ volatile("add %0, %%rsp\n\tadd %0, %%rbp" : : "r"(base - target->size - low));
  restore();
  return 0;
}
#else
__attribute__((noinline, optimize("no-omit-frame-pointer"))) static int change(void) {
  register char *low;
  __asm__ volatile("" : : : "memory", "ebx", "esi", "edi");
  __asm__ volatile("mov %%esp, %0" : "=r"(low));
  if (!save(low)) return 1;
  __asm__ volatile("add %0, %%esp\n\tadd %0, %%ebp" : : "r"(base - target->size - low));
  restore();
  return 0;
}
#endif

static void live(void);

__attribute__((noinline)) static void go(struct coroutine *to) {
  target = to;
  if (change() == 1) {
    current = to;
    to->has_begun = 1;
    live();
  }
  strike_count++;
}

__attribute__((noinline)) static void work(int depth) {
  if (depth > 0) work(depth - 1);
  go(&home);
  if (strikes && depth == 1) strike();
}

static void live(void) {
  for (;;) {
    work(2);
    go(&home);
  }
}

__attribute__((noinline)) static void run(void) {
  for (volatile int round = 0; round < 9; round++) {
    if (round == 5) strikes = 1;
    for (volatile int i = 0; i < 3; i++) go(&all[i]);
  }
}

int main(int count, char **words) {
  strike_start(count, words);
  home.has_begun = 1;
  /* The frames that are copied begin below. */
  volatile char room[512];
  room[0] = room[511] = 0;
  base = (char *)room + 256;
  run();
  return 0;
}
