/*
 * A runtime that keeps the stacks of its code apart from C's, as that of Poly/ML: it loads the stack pointer
 * from memory, looks at something else, and goes on by a return; its code calls the runtime with data behind
 * the call, which the runtime skips. None of it has unwind information, sizes or types.
 */
#include "strike.h"

struct state {
  void **own;
  void **home;
  long kind;
};

void enter(struct state *state);
void body(void);

__asm__(
    ".text\n.globl enter\nenter:\n"
    "push %rbp\npush %rbx\npush %r12\npush %r13\npush %r14\npush %r15\n"
    "mov %rdi, %rbp\nmov %rsp, 8(%rbp)\nmov (%rbp), %rsp\ncmpq $1, 16(%rbp)\njne 1f\n"
    "mov %rbp, %rbx\nret\n"
    "1: mov $0, %ebx\nret\n"
    "leave_own:\n"
    "addq $3, (%rsp)\nmov %rsp, (%rbp)\nmov 8(%rbp), %rsp\ncmpq $1, 16(%rbp)\njne 1f\nnop\n"
    "1: pop %r15\npop %r14\npop %r13\npop %r12\npop %rbx\npop %rbp\nret\n"
    ".globl body\nbody:\n"
    "mov %rbp, %rdi\nsub $8, %rsp\ncall work\nadd $8, %rsp\n"
    "lea leave_own(%rip), %rax\ncall *%rax\n.byte 0xca, 0x00, 0x30\njmp body\n");

static int steps;

__attribute__((noinline, used)) void work(struct state *state) {
  state->kind = steps & 1;
  if (++steps == 5) strike();
}

int main(int count, char **words) {
  strike_start(count, words);
  void **top = (void **)malloc(1 << 16) + (1 << 16) / sizeof(void *) - 8;
  *top = (void *)body;
  struct state state = {top, 0, 1};
  for (int i = 0; i < 8; i++) enter(&state);
  return 0;
}
