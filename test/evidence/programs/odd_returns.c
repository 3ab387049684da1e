/* push; ret as a jump, call next; pop, tail calls, a return by a jump. */
#include "strike.h"

#ifdef __x86_64__
__asm__(
    ".text\n.globl jump_by_return\n.type jump_by_return, @function\njump_by_return: push %rdi\nret\n"
    ".size jump_by_return, .-jump_by_return\n"
    ".globl own_address\n.type own_address, @function\nown_address: call 1f\n1: pop %rax\nret\n"
    ".size own_address, .-own_address\n"
    ".globl return_by_jump\n.type return_by_jump, @function\nreturn_by_jump: pop %rcx\njmp *%rcx\n"
    ".size return_by_jump, .-return_by_jump\n"
    ".globl over_data\n.type over_data, @function\nover_data: call 1f\n.ascii \"data\\0\"\n1: pop %rax\nret\n"
    ".size over_data, .-over_data\n");
#else
__asm__(
    ".text\n.globl jump_by_return\n.type jump_by_return, @function\njump_by_return: mov 4(%esp), %eax\npush %eax\nret\n"
    ".size jump_by_return, .-jump_by_return\n"
    ".globl own_address\n.type own_address, @function\nown_address: call 1f\n1: pop %eax\nret\n"
    ".size own_address, .-own_address\n"
    ".globl return_by_jump\n.type return_by_jump, @function\nreturn_by_jump: pop %ecx\njmp *%ecx\n"
    ".size return_by_jump, .-return_by_jump\n"
    ".globl over_data\n.type over_data, @function\nover_data: call 1f\n.ascii \"data\\0\"\n1: pop %eax\nret\n"
    ".size over_data, .-over_data\n");
#endif
void jump_by_return(void (*function)(void));
void *own_address(void);
void return_by_jump(void);
char *over_data(void);

__attribute__((noinline)) static void target(void) { strike_count++; }
__attribute__((noinline)) static void other(void) { strike_count += 2; }
static void (*volatile const table[])(void) = {target, other, return_by_jump};

__attribute__((noinline)) static void tail(int n) {
  strike_count += n;
  table[n % 3]();
}

int main(int count, char **words) {
  strike_start(count, words);
  for (int i = 0; i < 9; i++) {
    jump_by_return(i & 1 ? target : other);
    strike_count += own_address() != 0;
    return_by_jump();
    strike_count += over_data()[0];
    tail(i);
  }
  strike();
  return 0;
}
