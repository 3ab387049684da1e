/* Forced unwinding: pthread_exit from below, cancellation, cleanup handlers. */
#include <pthread.h>
#include <sched.h>
#include "strike.h"

static void cleanup(void *value) { strike_count += *(int *)value; }

__attribute__((noinline)) static void leave(int n) {
  int value = n;
  pthread_cleanup_push(cleanup, &value);
  if (n == 0) pthread_exit(0);
  leave(n - 1);
  pthread_cleanup_pop(1);
}

static void *exits(void *unused) {
  leave(5);
  return unused;
}

/* A thread that is cancelled before it runs has nothing to unwind; one that sleeps is unwound through the
 * frame of a signal, in which qemu-user lets the program die. */
static volatile int isWaiting;

static void *waits(void *unused) {
  int value = 3;
  pthread_cleanup_push(cleanup, &value);
  isWaiting = 1;
  for (;;) {
    pthread_testcancel();
    sched_yield();
  }
  pthread_cleanup_pop(1);
  return unused;
}

int main(int count, char **words) {
  pthread_t thread;
  strike_start(count, words);
  for (int i = 0; i < 3; i++) {
    pthread_create(&thread, 0, exits, 0);
    pthread_join(thread, 0);
  }
  pthread_create(&thread, 0, waits, 0);
  while (!isWaiting) usleep(1000);
  pthread_cancel(thread);
  pthread_join(thread, 0);
  strike_behind();
  strike();
  leave(3);
  return 0;
}
