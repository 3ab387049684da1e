/* Coroutines as QEMU has them: begun on a fresh stack, then all saved and left in one routine. */
#include <setjmp.h>
#include <ucontext.h>
#include "strike.h"

#define SIZE (1 << 16)
struct coroutine {
  jmp_buf saved;
  void (*entry)(struct coroutine *);
  struct coroutine *caller;
};
static struct coroutine home, all[3];
static char stacks[3][SIZE];
static ucontext_t fresh;
static volatile int strikes;

__attribute__((noinline)) static int change(struct coroutine *from, struct coroutine *to, int why) {
  int came = _setjmp(from->saved);
  if (came == 0) _longjmp(to->saved, why);
  return came;
}

__attribute__((noinline)) static void enter(struct coroutine *from, struct coroutine *to) {
  to->caller = from;
  strike_count += change(from, to, 1);
}

__attribute__((noinline)) static void yield(struct coroutine *self) { strike_count += change(self, self->caller, 2); }

static void trampoline(int index) {
  struct coroutine *self = &all[index];
  if (_setjmp(self->saved) == 0) _longjmp(home.saved, 1);
  for (;;) {
    self->entry(self);
    change(self, self->caller, 3);
  }
}

__attribute__((noinline)) static void begin(int index, void (*entry)(struct coroutine *)) {
  ucontext_t old;
  all[index].entry = entry;
  getcontext(&fresh);
  fresh.uc_stack.ss_sp = stacks[index];
  fresh.uc_stack.ss_size = SIZE;
  makecontext(&fresh, (void (*)(void))trampoline, 1, index);
  if (_setjmp(home.saved) == 0) swapcontext(&old, &fresh);
}

__attribute__((noinline)) static void work(struct coroutine *self, int depth) {
  if (depth > 0) work(self, depth - 1);
  yield(self);
  if (strikes && depth == 1) strike();
}

static void worker(struct coroutine *self) { work(self, 2); }

#ifdef NESTED
/* Enters another one from within. */
static void nested(struct coroutine *self) {
  for (int i = 0; i < 4; i++) enter(self, &all[0]);
  yield(self);
}
#else
#define nested worker
#endif

int main(int count, char **words) {
  strike_start(count, words);
  begin(0, worker);
  begin(1, worker);
  begin(2, nested);
  for (volatile int round = 0; round < 9; round++) {
    if (round == 5) strikes = 1;
    for (volatile int i = 0; i < 3; i++) enter(&home, &all[i]);
  }
  return 0;
}
