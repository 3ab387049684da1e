/* Compiled with -mindirect-branch=thunk -mfunction-return=thunk: returns that do not go to their call. */
#include "strike.h"

__attribute__((noinline)) static int one(int n) { return n + 1; }
__attribute__((noinline)) static int two(int n) { return n + 2; }
static int (*volatile const table[])(int) = {one, two};

__attribute__((noinline)) static int choose(int n) {
  switch (n) {
    case 0: return strike_count + 3;
    case 1: return strike_count * 5;
    case 2: return strike_count - 7;
    case 3: return strike_count ^ 9;
    case 4: return strike_count / 3;
    case 5: return strike_count | 64;
    default: return n;
  }
}

int main(int count, char **words) {
  strike_start(count, words);
  for (int i = 0; i < 12; i++) strike_count += table[i & 1](i) + choose(i % 7);
  strike();
  return 0;
}
