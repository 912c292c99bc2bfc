# From where the loader leaves the processor (32 bits, paging off) to `rust_main` in 64 bits, and the few routines that
# the compiler expects from a C library.

    .set MULTIBOOT2_MAGIC, 0xe85250d6
    .set MULTIBOOT2_LOADED, 0x36d76289

    .section .multiboot2, "a"
    .balign 8
multiboot_header:
    .long MULTIBOOT2_MAGIC
    .long 0                                     # i386, which x86-64 is started as
    .long multiboot_header_end - multiboot_header
    .long -(MULTIBOOT2_MAGIC + (multiboot_header_end - multiboot_header))
    .short 1, 0                                 # what the loader has to tell: command line, modules, memory map
    .long 20
    .long 1, 3, 6
    .balign 8
    .short 6, 0                                 # modules begin at a page
    .long 8
    .short 0, 0
    .long 8
multiboot_header_end:

    .section .note.pvh, "a", @note
    .balign 4
    .long 4                                     # bytes of the name
    .long 8                                     # bytes of the address
    .long 18                                    # XEN_ELFNOTE_PHYS32_ENTRY
    .asciz "Xen"
    .quad pvh_entry

    .section .boot, "ax"
    .code32
    .global pvh_entry
    .global multiboot_entry

pvh_entry:
    cli
    movl $1, %edi
    jmp start

multiboot_entry:
    cli
    movl $2, %edi
    cmpl $MULTIBOOT2_LOADED, %eax
    je start
    xorl %edi, %edi                             # no loader that is known

start:
    cld
    movl %ebx, %esi
    movl $stack_top, %esp
    movl $0x80000001, %eax
    pushl %esi
    cpuid
    popl %esi
    btl $29, %edx                               # long mode
    jnc stop

    # The first 4 GiB, each address to itself: 2 MiB pages, and 4 KiB pages for the first of them.
    movl $boot_directories, %ebx
    xorl %ecx, %ecx
1:  movl %ecx, %eax
    shll $21, %eax
    orl $0x83, %eax                             # present, writable, large
    movl %eax, (%ebx, %ecx, 8)
    incl %ecx
    cmpl $2048, %ecx
    jb 1b
    movl $boot_table, %eax
    orl $3, %eax
    movl %eax, boot_directories
    xorl %ecx, %ecx
2:  movl %ecx, %eax
    shll $12, %eax
    orl $3, %eax
    movl %eax, boot_table(, %ecx, 8)
    incl %ecx
    cmpl $512, %ecx
    jb 2b
    xorl %ecx, %ecx
3:  movl %ecx, %eax
    shll $12, %eax
    addl $boot_directories + 3, %eax
    movl %eax, boot_pointers(, %ecx, 8)
    incl %ecx
    cmpl $4, %ecx
    jb 3b
    movl $boot_pointers + 3, boot_root

    movl %cr4, %eax
    orl $0x620, %eax                            # PAE, OSFXSR, OSXMMEXCPT: `core` was compiled for SSE2
    movl %eax, %cr4
    movl $boot_root, %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx                      # EFER
    rdmsr
    orl $0x100, %eax                            # long mode
    wrmsr
    movl %cr0, %eax
    andl $0x9ffffff3, %eax                      # caches on; no emulated or switched floating point
    orl $0x80010023, %eax                       # paging, write protection, numeric errors, monitor, protection
    movl %eax, %cr0
    lgdt boot_gdt_pointer
    ljmp $8, $long_mode

stop:
    hlt
    jmp stop

    .balign 8
boot_gdt:
    .quad 0
    .quad 0x00af9b000000ffff                    # 64-bit code
    .quad 0x00cf93000000ffff                    # data
boot_gdt_pointer:
    .short 23
    .long boot_gdt

    .code64
long_mode:
    movl $16, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    xorl %eax, %eax
    movl %eax, %fs
    movl %eax, %gs
    fninit
    movq $stack_top, %rsp
    # The pattern shows later how deep the stack went.
    movl %edi, %r8d
    movq $stack_bottom, %rdi
    movq $stack_top, %rcx
    subq %rdi, %rcx
    shrq $3, %rcx
    movabsq $0xa5a5a5a5a5a5a5a5, %rax
    rep stosq
    movl %r8d, %edi
    movl %esi, %esi
    xorl %ebp, %ebp
    call rust_main
    ud2

    .section .bss.boot, "aw", @nobits
    .balign 4096
    .global boot_root
boot_root: .skip 4096
boot_pointers: .skip 4096
    .global boot_directories
boot_directories: .skip 4 * 4096
boot_table: .skip 4096

    .section .text.routines, "ax"
    .global memcpy, memmove, memset, memcmp, bcmp, strlen, rust_eh_personality, _Unwind_Resume

memmove:
    movq %rdi, %rax
    subq %rsi, %rax
    cmpq %rdx, %rax
    jb backwards
memcpy:
    movq %rdi, %rax
    movq %rdx, %rcx
    shrq $3, %rcx
    rep movsq
    movl %edx, %ecx
    andl $7, %ecx
    rep movsb
    ret
backwards:
    movq %rdi, %rax
    movq %rdx, %rcx
    leaq -1(%rdi, %rdx), %rdi
    leaq -1(%rsi, %rdx), %rsi
    std
    rep movsb
    cld
    ret

memset:
    movq %rdi, %r8
    movq %rdx, %rcx
    movl %esi, %eax
    rep stosb
    movq %r8, %rax
    ret

bcmp:
memcmp:
    xorl %eax, %eax
    movq %rdx, %rcx
    testq %rcx, %rcx
    jz 1f
    repe cmpsb
    movzbl -1(%rdi), %ecx
    movzbl -1(%rsi), %edx
    movl %ecx, %eax
    subl %edx, %eax
1:  ret

strlen:
    xorl %eax, %eax
1:  cmpb $0, (%rdi, %rax)
    je 2f
    incq %rax
    jmp 1b
2:  ret

# The prebuilt `core` was compiled for unwinding and names these; nothing unwinds here.
rust_eh_personality:
_Unwind_Resume:
    ud2
