/* Stack switches by hand: by a return, by a jump to a label, by a jump to a return address. */
#include "strike.h"

void switch_by_return(void ***from, void **to);
void switch_by_label(void ***from, void **to);
void switch_by_jump(void ***from, void **to);

#ifdef __x86_64__
__asm__(
    ".text\n.globl switch_by_return\n.type switch_by_return, @function\nswitch_by_return:\n"
    "push %rbp\npush %rbx\npush %r12\npush %r13\npush %r14\npush %r15\n"
    "mov %rsp, (%rdi)\nmov %rsi, %rsp\n"
    "pop %r15\npop %r14\npop %r13\npop %r12\npop %rbx\npop %rbp\nret\n.size switch_by_return, .-switch_by_return\n"
    ".globl switch_by_label\n.type switch_by_label, @function\nswitch_by_label:\n"
    "push %rbp\npush %rbx\npush %r12\npush %r13\npush %r14\npush %r15\n"
    "lea 1f(%rip), %rax\npush %rax\nmov %rsp, (%rdi)\nmov %rsi, %rsp\npop %rax\njmp *%rax\n"
    "1: pop %r15\npop %r14\npop %r13\npop %r12\npop %rbx\npop %rbp\nret\n.size switch_by_label, .-switch_by_label\n"
    ".globl switch_by_jump\n.type switch_by_jump, @function\nswitch_by_jump:\n"
    "push %rbp\npush %rbx\npush %r12\npush %r13\npush %r14\npush %r15\n"
    "mov %rsp, (%rdi)\nmov %rsi, %rsp\n"
    "pop %r15\npop %r14\npop %r13\npop %r12\npop %rbx\npop %rbp\npop %rcx\njmp *%rcx\n"
    ".size switch_by_jump, .-switch_by_jump\n");
#define SAVED 6
#else
__asm__(
    ".text\n.globl switch_by_return\n.type switch_by_return, @function\nswitch_by_return:\n"
    "mov 4(%esp), %eax\nmov 8(%esp), %edx\npush %ebp\npush %ebx\npush %esi\npush %edi\n"
    "mov %esp, (%eax)\nmov %edx, %esp\npop %edi\npop %esi\npop %ebx\npop %ebp\nret\n"
    ".size switch_by_return, .-switch_by_return\n"
    ".globl switch_by_label\n.type switch_by_label, @function\nswitch_by_label:\n"
    "mov 4(%esp), %eax\nmov 8(%esp), %edx\npush %ebp\npush %ebx\npush %esi\npush %edi\n"
    "call 2f\n2: pop %ecx\nadd $1f - 2b, %ecx\npush %ecx\nmov %esp, (%eax)\nmov %edx, %esp\npop %eax\njmp *%eax\n"
    "1: pop %edi\npop %esi\npop %ebx\npop %ebp\nret\n.size switch_by_label, .-switch_by_label\n"
    ".globl switch_by_jump\n.type switch_by_jump, @function\nswitch_by_jump:\n"
    "mov 4(%esp), %eax\nmov 8(%esp), %edx\npush %ebp\npush %ebx\npush %esi\npush %edi\n"
    "mov %esp, (%eax)\nmov %edx, %esp\npop %edi\npop %esi\npop %ebx\npop %ebp\npop %ecx\njmp *%ecx\n"
    ".size switch_by_jump, .-switch_by_jump\n");
#define SAVED 4
#endif

typedef void switcher(void ***from, void **to);
static switcher *const switchers[] = {switch_by_return, switch_by_label, switch_by_jump};
static void **home, **all[3];
static int now;

__attribute__((noinline)) static void step(int depth) {
  if (depth > 0) {
    step(depth - 1);
    return;
  }
  switchers[now](&all[now], home);
}

static void coroutine(void) {
  for (int i = 0;; i++) {
    step(i);
    if (i == 3 && now == 2) strike();
  }
}

int main(int count, char **words) {
  strike_start(count, words);
  for (now = 0; now < 3; now++) {
    void **top = (void **)malloc(1 << 16) + (1 << 16) / sizeof(void *) - 8;
    all[now] = top - SAVED - 1;
    memset(all[now], 0, (SAVED + 1) * sizeof(void *));
    *(now == 1 ? all[now] : top - 1) = (void *)coroutine;
    for (int i = 0; i < 6; i++) switchers[now](&home, all[now]);
  }
  return 0;
}
