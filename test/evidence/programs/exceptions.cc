// Through frames of C, rethrown, out of a callback of qsort, with destructors on the way, in recursion.
#include <stdexcept>
#include <string>
#include <vector>
#include "strike.h"

struct Guard {
  ~Guard() { strike_count++; }
};

static int compare(const void *a, const void *b) {
  Guard guard;
  if (*(const int *)a == 5) throw std::runtime_error("five");
  return *(const int *)a - *(const int *)b;
}

__attribute__((noinline)) static int recursive(int n, int catches) {
  Guard guard;
  if (n == 0) throw catches;
  try {
    return recursive(n - 1, catches) + 1;
  } catch (int &value) {
    if (value != n) throw;
    return n;
  }
}

__attribute__((noinline)) static void rethrow(int n) {
  try {
    try {
      if (n % 2 == 0) throw std::string("even");
      throw n;
    } catch (const std::string &text) {
      Guard guard;
      throw;
    }
  } catch (...) {
    strike_count++;
  }
}

__attribute__((noinline)) static void last() {
  try {
    throw 1;
  } catch (int) {
    strike();
  }
}

int main(int count, char **words) {
  strike_start(count, words);
  for (int i = 0; i < 5; i++) {
    int values[] = {3, 1, 5, 2, 4};
    try {
      qsort(values, 5, sizeof(int), compare);
    } catch (const std::exception &error) {
      strike_count += strlen(error.what());
    }
    rethrow(i);
    recursive(8, 1 + i);
    try {
      std::vector<int>().at(3);
    } catch (const std::out_of_range &) {
      strike_count++;
    }
  }
  last();
  return 0;
}
