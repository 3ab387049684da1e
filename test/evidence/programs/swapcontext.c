/* Coroutines: one after the other, two that hand over to each other, one that ends. */
#include <ucontext.h>
#include "strike.h"

#define SIZE (1 << 16)
static ucontext_t home, all[3];
static char stacks[3][SIZE];
static volatile int strikes;

__attribute__((noinline)) static void yield(int from, int to) { swapcontext(&all[from], to < 0 ? &home : &all[to]); }

__attribute__((noinline)) static void work(int self, int depth) {
  if (depth > 0) work(self, depth - 1);
  strike_count += self;
  yield(self, -1);
  if (strikes && self == 1) strike();
}

static void coroutine(int self) {
  for (int i = 0; i < 3; i++) work(self, i + self);
  if (self == 2) setcontext(&home);
}

static void partner(int self) {
  for (int i = 0; i < 5; i++) yield(self, 1 - self);
}

static void begin(int self, void (*function)(int)) {
  getcontext(&all[self]);
  all[self].uc_stack.ss_sp = stacks[self];
  all[self].uc_stack.ss_size = SIZE;
  all[self].uc_link = &home;
  makecontext(&all[self], (void (*)(void))function, 1, self);
}

int main(int count, char **words) {
  strike_start(count, words);
  begin(0, partner);
  begin(1, partner);
  swapcontext(&home, &all[0]);
  for (int i = 0; i < 3; i++) begin(i, coroutine);
  for (volatile int round = 0; round < 12; round++) {
    for (volatile int i = 0; i < 3; i++) {
      if (round >= (i == 1 ? 8 : 6)) continue;
      if (round == 4) strikes = 1;
      swapcontext(&home, &all[i]);
    }
  }
  return 0;
}
