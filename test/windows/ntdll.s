# What of ntdll.dll takes part in control flow that surprises: where the kernel enters user code, the
# dispatch of exceptions and unwinding, Control Flow Guard's thunks. The shape of the code (what calls,
# what jumps, what returns) is that of Windows 10; what it computes is left out.
        .include "macros.inc"
        .text

        function RtlUserThreadStart 0x48
        mov     r9, rcx
        mov     rcx, rdx
        call    [rip + guard_dispatch]
        mov     ecx, eax
        call    RtlExitUserThread
        int3
        endfunction 0x48

        function RtlExitUserThread 0x28
        call    NtTerminateThread
        endfunction 0x28

        systemcall NtTerminateThread, 0x53
        systemcall NtWaitForSingleObject, 0x04
        systemcall NtContinue, 0x43
        systemcall NtCallbackReturn, 0x05
        systemcall NtRaiseException, 0x166

# The kernel's three doors.
        function KiUserCallbackDispatcher 0x28
        mov     rcx, [rsp + 0x20]
        mov     edx, [rsp + 0x28]
        mov     rax, [rsp + 0x40]
        call    [rip + guard_dispatch]
        xor     ecx, ecx
        xor     edx, edx
        mov     r8d, eax
        call    NtCallbackReturn
        int3
        endfunction 0x28

        function KiUserApcDispatcher 0x28
        mov     rcx, [rsp]
        mov     rax, [rsp + 0x18]
        call    KiUserCallForwarder
        mov     rcx, rsp
        mov     edx, 1
        call    NtContinue
        int3
        endfunction 0x28

        function KiUserCallForwarder 0x48
        call    [rip + guard_dispatch]
        endfunction 0x48

        function KiUserExceptionDispatcher 0x28
        cld
        mov     rcx, rsp
        call    RtlDispatchException
        test    al, al
        jz      1f
        mov     rcx, rsp
        call    RtlRestoreContext
        int3
1:      call    NtRaiseException
        int3
        endfunction 0x28

        function RtlRaiseException 0x28
        lea     rcx, [rsp + 0x30]
        call    RtlDispatchException
        test    al, al
        jz      1f
        call    RtlRestoreContext
1:      call    NtRaiseException
        endfunction 0x28

        function RtlDispatchException 0x38
        call    RtlpCallVectoredHandlers
        test    al, al
        .globl  is_handled
is_handled:
        jnz     1f
        call    RtlpExecuteHandlerForException
1:      endfunction 0x38

        function RtlpCallVectoredHandlers 0x28
        call    [rip + guard_dispatch]
        endfunction 0x28

        function RtlpExecuteHandlerForException 0x28
        mov     [rsp + 0x20], r9
        call    [r9 + 0x30]
        nop
        endfunction 0x28

        function RtlpExecuteHandlerForUnwind 0x28
        mov     [rsp + 0x20], r9
        call    [r9 + 0x30]
        nop
        endfunction 0x28

# Asks the filter of a scope table, and unwinds to its handler.
        function __C_specific_handler 0x58
        test    dword ptr [rcx + 4], 6
        .globl  is_unwinding
is_unwinding:
        jnz     1f
        call    [rip + guard_dispatch]
        test    eax, eax
        jz      1f
        mov     rdx, [r9 + 0x20]
        call    RtlUnwindEx
        nop
1:      endfunction 0x58

        function RtlUnwindEx 0x58
        call    RtlpExecuteHandlerForUnwind
        mov     rcx, rsp
        call    RtlRestoreContext
        nop
        endfunction 0x58

# Leaves for the place that a context names.
        leaf    RtlRestoreContext
        mov     rsp, [rcx + 0x98]
        iretq

        leaf    LdrpDispatchUserCallTarget
        mov     r11, [rip + guard_bitmap]
        mov     r10, rax
        shr     r10, 9
        test    al, 15
        jnz     1f
        bt      r11, r10
        jnc     1f
        jmp     rax
1:      int3

        leaf    LdrpValidateUserCallTarget
        mov     r11, [rip + guard_bitmap]
        mov     r10, rcx
        shr     r10, 9
        bt      r11, r10
        jnc     1f
        ret
1:      int3

# What an attacker finds: the end of some function.
        function RtlpGadget 0x28
        mov     rax, rcx
        add     rax, rdx
        .globl  inside_RtlpGadget
inside_RtlpGadget:
        mov     [rax], rcx
        endfunction 0x28

# Where the loader finds the thunk that it writes into each image's pointer.
        function LdrpCfgProcessLoadConfig 0x28
        lea     rax, [rip + LdrpDispatchUserCallTarget]
        mov     [rcx], rax
        lea     rax, [rip + LdrpValidateUserCallTarget]
        mov     [rdx], rax
        endfunction 0x28

        guard_pointers

        .data
guard_bitmap:
        .quad   0
