/*
 * Threads of the program's own, as State Threads makes them: each begins by a jump back to where its creator saved
 * its registers, on another stack; the creator has returned long before. All wait behind the same call.
 */
#include "strike.h"

struct saved {
  void *kept[6], *stack, *at;
};
int save(struct saved *to) __attribute__((returns_twice));
void resume(struct saved *from) __attribute__((noreturn));

#ifdef __x86_64__
__asm__(
    ".text\n.globl save\n.type save, @function\nsave: mov %rbx, (%rdi)\nmov %rbp, 8(%rdi)\nmov %r12, 16(%rdi)\n"
    "mov %r13, 24(%rdi)\nmov %r14, 32(%rdi)\nmov %r15, 40(%rdi)\nlea 8(%rsp), %rdx\nmov %rdx, 48(%rdi)\n"
    "mov (%rsp), %rdx\nmov %rdx, 56(%rdi)\nxor %eax, %eax\nret\n.size save, .-save\n"
    ".globl resume\n.type resume, @function\nresume: mov (%rdi), %rbx\nmov 8(%rdi), %rbp\nmov 16(%rdi), %r12\n"
    "mov 24(%rdi), %r13\nmov 32(%rdi), %r14\nmov 40(%rdi), %r15\nmov $1, %eax\nmov 56(%rdi), %rdx\nmov 48(%rdi), %rsp\n"
    "jmp *%rdx\n.size resume, .-resume\n");
#else
__asm__(
    ".text\n.globl save\n.type save, @function\nsave: mov 4(%esp), %eax\nmov %ebx, (%eax)\nmov %ebp, 4(%eax)\n"
    "mov %esi, 8(%eax)\nmov %edi, 12(%eax)\nlea 4(%esp), %edx\nmov %edx, 24(%eax)\nmov (%esp), %edx\nmov %edx, 28(%eax)\n"
    "xor %eax, %eax\nret\n.size save, .-save\n"
    ".globl resume\n.type resume, @function\nresume: mov 4(%esp), %ecx\nmov (%ecx), %ebx\nmov 4(%ecx), %ebp\n"
    "mov 8(%ecx), %esi\nmov 12(%ecx), %edi\nmov $1, %eax\nmov 28(%ecx), %edx\nmov 24(%ecx), %esp\njmp *%edx\n"
    ".size resume, .-resume\n");
#endif

enum { threads = 4, home = threads };
static struct saved all[threads + 1];
static char stacks[threads][1 << 15] __attribute__((aligned(16)));
static int now = home, left = threads, rounds[threads];

__attribute__((noinline)) static void schedule(void) {
  do now = (now + 1) % (threads + 1);
  while (now == home ? left > 0 : rounds[now] < 0);
  resume(&all[now]);
}

__attribute__((noinline)) static void yield(void) {
  if (!save(&all[now])) schedule();
}

/* Two ways to wait: the same call of `save` has two callers. */
__attribute__((noinline)) static void wait_twice(void) {
  yield();
  strike_count++;
  yield();
  strike_count++;
}

__attribute__((noinline)) static void run(void) {
  for (rounds[now] = 0; rounds[now] < now + 2; rounds[now]++) {
    if (rounds[now] & 1) yield();
    else wait_twice();
    strike_count++;
    if (now == 2 && rounds[now] == 2) strike();
  }
  rounds[now] = -1;
  left--;
  schedule();
}

__attribute__((noinline)) static void create(int i) {
  if (save(&all[i])) run();
  all[i].stack = stacks[i] + sizeof stacks[i] - 256;
}

int main(int count, char **words) {
  strike_start(count, words);
  for (int i = 0; i < threads; i++) create(i);
  if (!save(&all[home])) schedule();
  return strike_count == 0;
}
