/* Recursion deeper than what a follower keeps. */
#include <sys/mman.h>
#include <ucontext.h>
#include "strike.h"

__attribute__((noinline, noclone, optimize("O2", "no-optimize-sibling-calls"))) static int deep(int n) {
  if (n == 0) return strike_count;
  return deep(n - 1) + 1;
}

static void run(void) {
  strike_count += deep((1 << 20) + 5000);
  strike();
}

int main(int count, char **words) {
  static ucontext_t home, other;
  strike_start(count, words);
  getcontext(&other);
  other.uc_stack.ss_size = 128 << 20;
  other.uc_stack.ss_sp = mmap(0, 128 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  other.uc_link = &home;
  makecontext(&other, run, 0);
  swapcontext(&home, &other);
  return 0;
}
