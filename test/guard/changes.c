/* Does what changes the code of a process: loads a library, makes code, starts a thread, and forks. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static int compare(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

static void *work(void *data) {
  int values[50];
  for (int i = 0; i < 50; i++) values[i] = i * 7919 % 51;
  qsort(values, 50, sizeof *values, compare);
  return data;
}

static void load(void) {
  void *library = dlopen("libm.so.6", RTLD_NOW);
  double (*root)(double) = (double (*)(double))dlsym(library, "cbrt");
  volatile double found = root(8);
  (void)found;
  dlclose(library);
}

static void make(unsigned char value) {
  /* mov eax, imm32; ret */
  unsigned char code[] = {0xb8, value, 0, 0, 0, 0xc3};
  void *room = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memcpy(room, code, sizeof code);
  mprotect(room, 4096, PROT_READ | PROT_EXEC);
  if (((unsigned (*)(void))room)() != value) abort();
  munmap(room, 4096);
}

int main(void) {
  for (int i = 0; i < 3; i++) {
    work(NULL);
    load();
    make((unsigned char)i);
    pthread_t thread;
    pthread_create(&thread, NULL, work, NULL);
    pthread_join(thread, NULL);
    if (fork() == 0) {
      work(NULL);
      if (i == 2) make(9);
      _exit(0);
    }
    wait(NULL);
  }
  return 0;
}
