/* Lazy binding, its failure (dlopen, dlsym of what is missing), indirect functions. */
#include <dlfcn.h>
#include <math.h>
#include "strike.h"

static int plus(int n) { return n + 1; }
static int minus(int n) { return n - 1; }
static int (*resolve(void))(int) { return getpid() > 0 ? plus : minus; }
__attribute__((ifunc("resolve"))) int indirect(int n);

int main(int count, char **words) {
  char buffer[64];
  strike_start(count, words);
  for (int i = 0; i < 3; i++) {
    if (dlopen("/no/such/library.so", RTLD_NOW) == 0) strike_count++;
    if (dlsym(RTLD_DEFAULT, "no_such_symbol") == 0) strike_count += strlen(dlerror());
    strike_count += indirect(i);
    memset(buffer, i, sizeof buffer);
    strike_count += (int)(cos(i) * 10);
  }
  void *library = dlopen("libm.so.6", RTLD_LAZY);
  double (*function)(double) = (double (*)(double))dlsym(library, "sin");
  if (function) strike_count += (int)(function(1) * 10);
  strike();
  return 0;
}
