/* Once, in loops, nested, skipping many frames, in recursion that sets a place at each depth. */
#include <setjmp.h>
#include "strike.h"

static jmp_buf outer, inner, places[8];

__attribute__((noinline)) static int deep(int n) {
  if (n == 0) longjmp(outer, 1);
  return deep(n - 1) + 1;
}

__attribute__((noinline)) static int nested(int n) {
  if (setjmp(inner) == 0) {
    if (n & 1) longjmp(inner, 1);
    return 0;
  }
  if (n & 2) longjmp(outer, 2);
  return 1;
}

__attribute__((noinline)) static int recursive(int n, int back) {
  if (setjmp(places[n]) == 0) {
    if (n == 7) longjmp(places[back], 1);
    return recursive(n + 1, back) + 1;
  }
  strike_count += n;
  return n;
}

int main(int count, char **words) {
  strike_start(count, words);
  if (setjmp(outer) == 0) deep(60);
  for (volatile int i = 0; i < 20; i++) {
    if (setjmp(outer) == 0) nested(i);
    if (setjmp(outer) == 0 && i % 3 == 0) deep(i);
  }
  for (volatile int i = 0; i < 8; i++) recursive(0, i);
  if (setjmp(outer) == 0) deep(3);
  strike();
  return 0;
}
