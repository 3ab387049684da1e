/* Out of signal handlers, on the stack, on another stack, nested; and handlers that come back. */
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include "strike.h"

static sigjmp_buf back;
static volatile int leaves, strikes;

static void inner(int number) { strike_count += number; }

static void handler(int number) {
  strike_count += number;
  raise(SIGUSR2);
  if (strikes) strike();
  if (leaves) siglongjmp(back, 1);
}

__attribute__((noinline)) static void fault(volatile int *at) { *at = 1; }

int main(int count, char **words) {
  strike_start(count, words);
  struct sigaction act;
  memset(&act, 0, sizeof act);
  act.sa_handler = inner;
  sigaction(SIGUSR2, &act, 0);
  for (int other = 0; other < 2; other++) {
    if (other) {
      stack_t stack = {.ss_sp = malloc(1 << 17), .ss_size = 1 << 17};
      sigaltstack(&stack, 0);
    }
    act.sa_handler = handler;
    act.sa_flags = other ? SA_ONSTACK : 0;
    sigaction(SIGUSR1, &act, 0);
    sigaction(SIGSEGV, &act, 0);
    leaves = 0;
    for (int i = 0; i < 3; i++) raise(SIGUSR1);
    leaves = 1;
    for (volatile int i = 0; i < 3; i++) {
      if (sigsetjmp(back, 1) == 0) raise(SIGUSR1);
      if (sigsetjmp(back, 1) == 0) fault((volatile int *)16);
    }
  }
  leaves = 0;
  strikes = 1;
  raise(SIGUSR1);
  return 0;
}
