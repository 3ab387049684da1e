        .include "macros.inc"
        .text

        systemcall NtUserDispatchMessage, 0x1036

        function DispatchMessageW 0x38
        call    NtUserDispatchMessage
        endfunction 0x38

# The kernel's callback for a window procedure; the table that names it is in the process's block.
        function __fnDWORD 0x58
        mov     rcx, [rcx + 8]
        call    UserCallWinProcCheckWow
        endfunction 0x58

        function UserCallWinProcCheckWow 0x48
        mov     rax, rcx
        call    [rip + guard_dispatch]
        endfunction 0x48

        guard_pointers

        .section .rdata, "dr"
        .globl  apfnDispatch
apfnDispatch:
        .quad   __fnDWORD
