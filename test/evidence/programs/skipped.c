/* Callees that skip what stands behind their call, and returns to labels that were pushed. */
#include "strike.h"

#define FUNCTION(name) ".globl " #name "\n.type " #name ", @function\n" #name ": "
#define END(name) ".size " #name ", .-" #name "\n"

#ifdef __x86_64__
__asm__(
    ".text\n"
    /* Text behind the call, which the callee takes by its return address. */
    FUNCTION(by_jump) "call length_by_jump\n.asciz \"some text\"\nret\n" END(by_jump)
    FUNCTION(length_by_jump) "pop %rcx\nxor %eax, %eax\n"
    "1: cmpb $0, (%rcx)\nlea 1(%rcx), %rcx\nje 2f\ninc %eax\njmp 1b\n2: jmp *%rcx\n" END(length_by_jump)
    FUNCTION(by_return) "call length_by_return\n.asciz \"text\"\nret\n" END(by_return)
    FUNCTION(length_by_return) "push %rbx\nmov 8(%rsp), %rbx\nxor %eax, %eax\n"
    "1: cmpb $0, (%rbx)\nlea 1(%rbx), %rbx\nje 2f\ninc %eax\njmp 1b\n2: mov %rbx, 8(%rsp)\npop %rbx\nret\n"
    END(length_by_return)
    FUNCTION(over_junk) "call skip\n.byte 0xe8, 0x11, 0x22\nmov $7, %eax\nret\n" END(over_junk)
    FUNCTION(skip) "addq $3, (%rsp)\nret\n" END(skip)
    /* As __morestack does: what is behind the call is for its own return, the function goes on one byte further. */
    FUNCTION(grown) "call grow\nret\nmov $9, %eax\nret\n" END(grown)
    FUNCTION(grow) "push %rbp\nmov %rsp, %rbp\nmov 8(%rbp), %r10\ninc %r10\ncall *%r10\npop %rbp\nret\n" END(grow)
    /* A call that is a jump. */
    FUNCTION(by_label) "lea 1f(%rip), %rax\npush %rax\nlea eleven(%rip), %rcx\npush %rcx\nret\n1: inc %eax\nret\n"
    END(by_label)
    FUNCTION(eleven) "mov $11, %eax\nret\n" END(eleven));
#else
__asm__(
    ".text\n"
    FUNCTION(by_jump) "call length_by_jump\n.asciz \"some text\"\nret\n" END(by_jump)
    FUNCTION(length_by_jump) "pop %ecx\nxor %eax, %eax\n"
    "1: cmpb $0, (%ecx)\nlea 1(%ecx), %ecx\nje 2f\ninc %eax\njmp 1b\n2: jmp *%ecx\n" END(length_by_jump)
    FUNCTION(by_return) "call length_by_return\n.asciz \"text\"\nret\n" END(by_return)
    FUNCTION(length_by_return) "push %ebx\nmov 4(%esp), %ebx\nxor %eax, %eax\n"
    "1: cmpb $0, (%ebx)\nlea 1(%ebx), %ebx\nje 2f\ninc %eax\njmp 1b\n2: mov %ebx, 4(%esp)\npop %ebx\nret\n"
    END(length_by_return)
    FUNCTION(over_junk) "call skip\n.byte 0xe8, 0x11, 0x22\nmov $7, %eax\nret\n" END(over_junk)
    FUNCTION(skip) "addl $3, (%esp)\nret\n" END(skip)
    FUNCTION(grown) "call grow\nret\nmov $9, %eax\nret\n" END(grown)
    FUNCTION(grow) "push %ebp\nmov %esp, %ebp\nmov 4(%ebp), %edx\ninc %edx\ncall *%edx\npop %ebp\nret\n" END(grow)
    FUNCTION(by_label) "push $1f\njmp eleven\n1: inc %eax\nret\n" END(by_label)
    FUNCTION(eleven) "mov $11, %eax\nret\n" END(eleven));
#endif
int by_jump(void), by_return(void), over_junk(void), grown(void), by_label(void);

int main(int count, char **words) {
  strike_start(count, words);
  for (int i = 0; i < 5; i++) {
    strike_count += by_jump() + by_return() + over_junk() + grown() + by_label();
  }
  strike();
  return strike_count == 0;
}
