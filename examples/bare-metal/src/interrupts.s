# Where exceptions and interrupts arrive, each on a stack of its own: the prebuilt `core` uses the bytes below the stack
# pointer, which would be overwritten otherwise.

    .section .text.interrupts, "ax"
    .global exception_stubs, device_stubs, ignored_stub

# Exceptions 0 to 31, 16 bytes each: number and error code are pushed, then `exception` is called, which does not return.
    .balign 16
exception_stubs:
    .set vector, 0
    .rept 32
    .balign 16
    .if vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 || vector == 30
    .else
    pushq $0
    .endif
    pushq $vector
    jmp exception_common
    .set vector, vector + 1
    .endr

exception_common:
    popq %rdi                                   # number
    popq %rsi                                   # error code
    movq (%rsp), %rdx                           # instruction pointer
    movq 24(%rsp), %rcx                         # stack pointer
    andq $-16, %rsp
    cld
    call exception
    ud2

# Device vectors, 16 bytes each: a bit in `PENDING`, a count, the end of interrupt.
    .balign 16
device_stubs:
    .set line, 0
    .rept 8
    .balign 16
    pushq $line
    jmp device_common
    .set line, line + 1
    .endr

device_common:
    pushq %rax
    pushq %rcx
    pushq %rdx
    movq 24(%rsp), %rcx
    movl $1, %eax
    shll %cl, %eax
    lock orl %eax, PENDING(%rip)
    lock incl COUNTS(, %rcx, 4)
    movq END_OF_INTERRUPT(%rip), %rax
    testq %rax, %rax
    jz 1f
    movl $0, (%rax)
    jmp 2f
1:  movl $0x80b, %ecx                           # the same register as an MSR (x2APIC)
    xorl %eax, %eax
    xorl %edx, %edx
    wrmsr
2:  popq %rdx
    popq %rcx
    popq %rax
    addq $8, %rsp
    iretq

ignored_stub:
    iretq
