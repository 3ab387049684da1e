/* The receiver's address comes from lea: it follows no call. */
#include "strike.h"

static void *place[5];

__attribute__((noinline)) static void leave(int n) {
  if (n == 0) __builtin_longjmp(place, 1);
  leave(n - 1);
  strike_count++;
}

__attribute__((noinline)) static void receive(int n) {
  if (__builtin_setjmp(place) == 0) leave(n);
  else strike_count++;
}

int main(int count, char **words) {
  strike_start(count, words);
  for (int i = 0; i < 6; i++) receive(i);
  strike();
  return 0;
}
