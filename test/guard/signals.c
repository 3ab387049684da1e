/*
 * A program that tells which signals it gets, one a line, and ends with 7 at SIGTERM. For testing that a guard passes on what
 * it gets itself.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct {
  int number;
  const char *name;
} told[] = {{SIGINT, "INT\n"},   {SIGTERM, "TERM\n"},   {SIGHUP, "HUP\n"},   {SIGQUIT, "QUIT\n"}, {SIGUSR1, "USR1\n"},
            {SIGUSR2, "USR2\n"}, {SIGWINCH, "WINCH\n"}, {SIGTSTP, "TSTP\n"}, {SIGCONT, "CONT\n"}};

static void tell(int number) {
  for (size_t i = 0; i < sizeof told / sizeof *told; i++)
    if (told[i].number == number && write(1, told[i].name, strlen(told[i].name)) < 0) _exit(1);
  if (number == SIGTERM) _exit(7);
}

int main(void) {
  for (size_t i = 0; i < sizeof told / sizeof *told; i++) signal(told[i].number, tell);
  if (write(1, "ready\n", 6) < 0) return 1;
  for (;;) pause();
}
