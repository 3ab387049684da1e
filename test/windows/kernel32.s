        .include "macros.inc"
        .text

        function BaseThreadInitThunk 0x28
        mov     rax, rdx
        call    [rip + guard_dispatch]
        mov     ecx, eax
        call    [rip + __imp_RtlExitUserThread]
        int3
        endfunction 0x28

# Hands on to another library, as a forwarder by jump does.
        leaf    WaitForSingleObject
        jmp     [rip + __imp_NtWaitForSingleObject]

        function RaiseException 0x38
        call    [rip + __imp_RtlRaiseException]
        nop
        endfunction 0x38

        leaf    GetTickCount
        mov     ecx, 0x7ffe0000
        mov     eax, ecx
        ret

        guard_pointers
