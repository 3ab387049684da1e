        .include "macros.inc"
        .text

# Calls through import stubs: straight through the table, and through a stub of the linker.
        function imports 0x28
        call    [rip + __imp_GetTickCount]
        call    GetTickCount
        nop
        endfunction 0x28

# A call that Control Flow Guard checks on its way, and one that it checks before.
        function guarded 0x28
        lea     rax, [rip + callee]
        call    [rip + guard_dispatch]
        lea     rcx, [rip + callee]
        call    [rip + guard_check]
        call    rcx
        nop
        endfunction 0x28

        function callee 0x28
        call    [rip + __imp_GetTickCount]
        endfunction 0x28

# __try { thrower(); } __except (filter()) { } and the function that throws, two frames below.
        .globl  protected
        .def    protected; .scl 2; .type 32; .endef
        .balign 16
        .seh_proc protected
protected:
        sub     rsp, 0x28
        .seh_stackalloc 0x28
        .seh_endprologue
        .seh_handler __C_specific_handler, @except
        .seh_handlerdata
        .long   1
        .rva    .Lbegin, .Lend, filter, landing
        .text
.Lbegin:
        call    between
        nop
.Lend:
        jmp     1f
        .globl  landing
landing:
        xor     eax, eax
1:      call    [rip + __imp_GetTickCount]
        add     rsp, 0x28
        ret
        .seh_endproc

        leaf    filter
        mov     eax, 1
        ret

        function between 0x28
        call    thrower
        nop
        endfunction 0x28

        function thrower 0x28
        call    [rip + __imp_RaiseException]
        nop
        endfunction 0x28

# Reads memory that a vectored handler may have to bring first, right behind a call.
        function faulting 0x28
        call    [rip + __imp_GetTickCount]
        .globl  fault
fault:
        mov     rax, [rcx]
        add     rax, rdx
        call    [rip + __imp_GetTickCount]
        endfunction 0x28

        function vectored 0x28
        call    [rip + __imp_GetTickCount]
        mov     eax, -1
        endfunction 0x28

        function waits 0x28
        call    [rip + __imp_WaitForSingleObject]
        nop
        endfunction 0x28

        function apc 0x28
        call    [rip + __imp_GetTickCount]
        endfunction 0x28

        function pumps 0x28
        call    [rip + __imp_DispatchMessageW]
        nop
        endfunction 0x28

        function window 0x28
        call    imports
        endfunction 0x28

# Never run, and no pointer leads to it.
        function secret 0x28
        mov     rax, rcx
        .globl  inside_secret
inside_secret:
        add     rax, rdx
        endfunction 0x28

        function start 0x28
        call    imports
        call    guarded
        call    protected
        call    faulting
        call    waits
        call    pumps
        endfunction 0x28

        guard_pointers

        .section .rdata, "dr"
        .quad   vectored, apc, window, start
        .quad   imports, guarded, protected, faulting, waits, pumps
