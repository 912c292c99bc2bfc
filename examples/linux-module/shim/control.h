/* SPDX-License-Identifier: (GPL-2.0 OR MIT) */
/*
 * Control calls run on a stack of their own.
 *
 * An adapter moves by value through its states, and is 14 KB large: a bring-up needs some 150 KB of stack, and the kernel's has
 * 16. The switch is the kernel's own, as it does it for interrupts (asm/irq_stack.h, and objtool knows it). The task may sleep
 * and be preempted on that stack; a backtrace ends where it begins.
 */
#ifndef FASTLINQ_CONTROL_H
#define FASTLINQ_CONTROL_H

#include <linux/compiler.h>
#include <linux/lockdep.h>
#include <linux/vmalloc.h>
#include <asm/irq_stack.h>

#include "port.h"

#define FL_STACK_BYTES (256 * 1024)
#define FL_STACK_FILL 0x5a

/* Calls `function` (one of fl_device_*()) with the port's device and `call`, with the port's `control` held. */
#define fl_control(port, function, call)                                                                            \
	do {                                                                                                        \
		struct fl_device *fl_device_argument = (port)->device;                                              \
		void *fl_call_argument = (void *)(call);                                                            \
		lockdep_assert_held(&(port)->control);                                                              \
		/* Or the compiler names the stack pointer, which is another by then. */                            \
		OPTIMIZER_HIDE_VAR(fl_device_argument);                                                             \
		OPTIMIZER_HIDE_VAR(fl_call_argument);                                                               \
		call_on_stack((port)->stack + FL_STACK_BYTES - 16, function, ASM_CALL_ARG2, FL_CONTROL_CONSTRAINTS) \
	} while (0)
#define FL_CONTROL_CONSTRAINTS , [arg1] "r"(fl_device_argument), [arg2] "r"(fl_call_argument)

/* Most bytes of the stack that were in use so far. */
static inline size_t fl_stack_used(const struct fl_port *port)
{
	const u8 *stack = port->stack;
	size_t free = 0;

	while (free < FL_STACK_BYTES && stack[free] == FL_STACK_FILL)
		free++;
	return FL_STACK_BYTES - free;
}

#endif
