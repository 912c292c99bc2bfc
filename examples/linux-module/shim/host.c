// SPDX-License-Identifier: (GPL-2.0 OR MIT)
/* What the kernel supplies to the driver crates. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bug.h>
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/printk.h>
#include <linux/skbuff.h>
#include <linux/slab.h>

#include "fastlinq.h"

void *fl_kernel_alloc(size_t bytes)
{
	return kvmalloc(bytes, GFP_KERNEL);
}

void fl_kernel_free(void *memory)
{
	kvfree(memory);
}

void *fl_kernel_dma_alloc(void *device, size_t bytes, u64 *bus)
{
	dma_addr_t address;
	void *memory = dma_alloc_coherent(device, bytes, &address, GFP_KERNEL | __GFP_NOWARN);

	*bus = address;
	return memory;
}

void fl_kernel_dma_free(void *device, size_t bytes, void *memory, u64 bus)
{
	dma_free_coherent(device, bytes, memory, bus);
}

u64 fl_kernel_now_us(void)
{
	return ktime_to_us(ktime_get());
}

void fl_kernel_wait_ns(u64 ns)
{
	unsigned long us = DIV_ROUND_UP_ULL(ns, NSEC_PER_USEC);

	if (us < 10)
		udelay(us);
	else if (us < 20 * USEC_PER_MSEC)
		usleep_range(us, us + us / 4);
	else
		msleep(DIV_ROUND_UP(us, USEC_PER_MSEC));
}

void fl_kernel_log(int level, const char *text, size_t length)
{
	int bytes = length;

	if (level <= 1)
		pr_err("%.*s\n", bytes, text);
	else if (level == 2)
		pr_warn("%.*s\n", bytes, text);
	else
		pr_info("%.*s\n", bytes, text);
}

int fl_kernel_frame_copy(const void *frame, u32 offset, void *target, u32 length)
{
	return skb_copy_bits(frame, offset, target, length);
}

void fl_kernel_bug(void)
{
	BUG();
}
