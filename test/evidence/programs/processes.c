/* The parent's side of vfork, posix_spawn, system; threads that come and go. */
#include <pthread.h>
#include <spawn.h>
#include <sys/wait.h>
#include "strike.h"

extern char **environ;

static void *run(void *value) {
  for (int i = 0; i < 100; i++) __sync_fetch_and_add((int *)value, 1);
  return value;
}

int main(int count, char **words) {
  int state, total = 0;
  pthread_t threads[3];
  strike_start(count, words);
  pid_t child = vfork();
  if (child == 0) _exit(3);
  waitpid(child, &state, 0);
  char *args[] = {(char *)"true", 0};
  if (posix_spawn(&child, "/bin/true", 0, 0, args, environ) == 0) waitpid(child, &state, 0);
  for (int i = 0; i < 3; i++) pthread_create(&threads[i], 0, run, &total);
  for (int i = 0; i < 3; i++) pthread_join(threads[i], 0);
  strike();
  return 0;
}
