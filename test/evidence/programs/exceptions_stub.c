#define CAML_NAME_SPACE
#include <caml/mlvalues.h>
#include "strike.h"

value ml_strike_start(value word) {
  char *words[] = {(char *)"program", (char *)String_val(word)};
  strike_start(2, words);
  return Val_unit;
}

value ml_strike(value unit) {
  strike();
  return unit;
}
