/*
 * What all programs here do when they are told to: "harmless" nothing, "return" overwrites the return
 * address of `strike`, "pointer" calls a place that no pointer of the program may hold. Both go behind a
 * call that the run has made before: the hardest place to tell from a long jump.
 */
#ifdef __cplusplus
extern "C" {
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int strike_kind;
static volatile int strike_armed;
static volatile int strike_count;

__attribute__((noinline, noclone)) static void strike_once(void) { strike_count++; }

/* Called in every run. Behind its call lies what a strike goes to. */
__attribute__((noinline, noclone)) static void strike_behind(void) {
  strike_once();
  if (strike_armed) _exit(0);
  strike_count++;
}

/* The address behind the call in `strike_behind`, which no code refers to. */
__attribute__((noinline, noclone)) static char *strike_place(void) {
  char *at = (char *)strike_behind;
  while (!((unsigned char)*at == 0xe8 && at + 5 + *(int *)(at + 1) == (char *)strike_once)) at++;
  return at + 5;
}

__attribute__((noinline, noclone)) static void strike_write(void **slot, void *value) { *slot = value; }

__attribute__((noinline, noclone, optimize("no-omit-frame-pointer"))) static void strike(void) {
  void **frame = (void **)__builtin_frame_address(0);
  char *place = strike_place();
  if (strike_kind == 1) {
    strike_armed = 1;
    strike_write(frame + 1, place);
  } else if (strike_kind == 2) {
    void (*volatile pointer)(void);
    strike_armed = 1;
    pointer = (void (*)(void))place;
    pointer();
  }
}

static void strike_start(int count, char **words) {
  const char *word = count > 1 ? words[1] : "harmless";
  strike_kind = strcmp(word, "return") == 0 ? 1 : strcmp(word, "pointer") == 0 ? 2 : 0;
  strike_behind();
}
#ifdef __cplusplus
}
#endif
