/* SPDX-License-Identifier: (GPL-2.0 OR MIT) */
/*
 * What C and Rust call of each other.
 *
 * Contexts:
 *
 *  control  may sleep, for seconds when the device does not answer (every wait is bounded); one call at a time for each
 *           device, on a stack of its own (fl_control() in control.h sees to both). Never while a queue is in use, if the call
 *           makes queues or ends them.
 *  data     may be called with bottom halves disabled; never sleeps, never waits; one call at a time for each queue (the shim
 *           holds the ring's spinlock).
 *  any      from everywhere.
 *
 * Results are 0 or a negative errno: -ENODEV the device is gone, -EPROTO the management firmware does not answer or refuses,
 * -EIO the chip or the storm firmware fails, -ENOMEM, -EINVAL.
 *
 * Pointers must be valid for the call, and for nothing longer unless it says so.
 */
#ifndef FASTLINQ_H
#define FASTLINQ_H

#include <linux/build_bug.h>
#include <linux/types.h>

#ifndef CONFIG_X86_64
#error "fastlinq.ko knows x86-64 only: its accesses to BARs rely on that processor's order of stores"
#endif

#define FL_MAX_QUEUES 64
#define FL_BATCH 64
#define FL_MAX_DESCRIPTORS 40
#define FL_MIN_RING 128
#define FL_MAX_RECEIVE_RING 512
#define FL_MAX_TRANSMIT_RING 256
#define FL_MAX_COALESCING_US 511

struct fl_device; /* Rust's; fl_device_size() bytes of memory that the shim supplies */
struct fl_queue; /* Rust's; from fl_device_up() until fl_device_down() */

struct fl_host {
	void *device; /* struct device, for DMA memory; outlives the fl_device */
	void *registers; /* BAR0 mapped uncached, outlives the fl_device; so does BAR2 */
	u64 registers_length;
	void *doorbells;
	u64 doorbells_length;
	u16 vendor;
	u16 device_id;
	u16 subsystem_vendor;
	u16 subsystem;
	u16 vectors; /* MSI-X vectors: 0 for the slow path, k + 1 for queue k */
	u8 revision;
	u8 reserved;
};
static_assert(sizeof(struct fl_host) == 56);

struct fl_identity {
	int result;
	u32 management_firmware; /* version, a byte each */
	s32 images; /* in the flash; -1 the management firmware does not know the question, -2 it refused */
	u8 has_address;
	u8 address[6];
	u8 reserved;
};
static_assert(sizeof(struct fl_identity) == 20);

struct fl_up {
	const u8 *firmware; /* in: the storm-firmware file */
	u64 firmware_length; /* in */
	int result;
	u8 storm_firmware[4]; /* out: version */
	u16 mtu; /* in */
	u16 queues; /* in: most; out: how many there are */
	u8 address[6]; /* in */
	u8 rss_key[40]; /* in */
	u16 receive_ring; /* in: descriptors, FL_MIN_RING to FL_MAX_RECEIVE_RING */
	u16 transmit_ring; /* in: to FL_MAX_TRANSMIT_RING */
	u16 receive_us; /* in: as in fl_coalescing */
	u16 transmit_us; /* in */
	u8 reserved[6];
	struct fl_queue *queue[FL_MAX_QUEUES]; /* out */
};
static_assert(sizeof(struct fl_up) == 88 + 8 * FL_MAX_QUEUES);

/* How long the device may wait before it interrupts, 0 to FL_MAX_COALESCING_US. */
struct fl_coalescing {
	int result;
	u16 receive_us;
	u16 transmit_us;
};
static_assert(sizeof(struct fl_coalescing) == 8);

struct fl_news {
	int result;
	u32 troubles; /* attentions and events that are in the log */
	u8 link_known; /* the link's state follows */
	u8 link_up;
	u8 full_duplex;
	u8 autonegotiation;
	u32 speed_mbps;
};
static_assert(sizeof(struct fl_news) == 16);

struct fl_filters {
	const u8 (*unicast)[6];
	const u8 (*multicast)[6];
	u32 unicast_count;
	u32 multicast_count;
	int result;
	u8 address[6];
	u8 promiscuous;
	u8 all_multicast;
};
static_assert(sizeof(struct fl_filters) == 40);

struct fl_statistics {
	int result;
	u32 reserved;
	u64 received_unicast;
	u64 received_multicast;
	u64 received_broadcast;
	u64 received_bytes;
	u64 sent_unicast;
	u64 sent_multicast;
	u64 sent_broadcast;
	u64 sent_bytes;
	u64 transmit_errors;
	u64 dropped_too_big;
	u64 dropped_no_buffer;
	u64 dropped_inactive;
	u64 truncated;
	u64 mac_errors;
	u64 dropped_no_vport;
};
static_assert(sizeof(struct fl_statistics) == 128);

struct fl_frame {
	u32 length;
	u32 hash;
	u8 hashed;
	u8 hash_over_ports;
	u8 checksum_good;
	u8 reserved;
};
static_assert(sizeof(struct fl_frame) == 12);

struct fl_send {
	const void *frame; /* struct sk_buff, of any shape; read during the call */
	u32 length;
	u16 headers; /* with `payload`: bytes in front of TCP's payload */
	u16 payload; /* TCP payload of a segment; 0 the frame goes out as it is */
	u8 checksum; /* fill in that of TCP or UDP, which follows an IPv4 header or an IPv6 header without extensions */
	u8 tagged; /* insert a VLAN tag */
	u16 tag;
	u8 reserved[4];
};
static_assert(sizeof(struct fl_send) == 24);

/* What the device has read since the last call. */
struct fl_sent {
	u32 frames;
	u32 bytes; /* sum of their fl_send.length */
};
static_assert(sizeof(struct fl_sent) == 8);

struct fl_counters {
	u64 received;
	u64 received_bytes;
	u64 received_scattered;
	u64 receive_errors;
	u64 receive_starved;
	u64 sent;
	u64 sent_bytes;
	u64 refused;
	u64 full;
	u64 doorbells;
};
static_assert(sizeof(struct fl_counters) == 80);

/* ---- Rust, called by C ---- */

/* any */
size_t fl_device_size(void);
/* any, before all others: lines for the kernel's log, 1 errors, 2 warnings, 3 information, 4 debug */
void fl_log_level(int level);

/* control, through fl_control() only. new: `device` is fl_device_size() bytes, aligned to 16. drop: takes it down first;
 * not used afterwards. */
void fl_device_new(struct fl_device *device, const struct fl_host *host);
void fl_device_drop(struct fl_device *device, void *unused);
void fl_device_identify(struct fl_device *device, struct fl_identity *out);
/* With the RTNL held: adapters come up one at a time. */
void fl_device_up(struct fl_device *device, struct fl_up *call);
/* No queue is in use any more, nor will be. Down whatever the result; DMA memory that the device did not let go of stays
 * allocated for good, and the log says how much. */
void fl_device_down(struct fl_device *device, int *result);
void fl_device_events(struct fl_device *device, struct fl_news *out);
void fl_device_link(struct fl_device *device, struct fl_news *out);
void fl_device_filter(struct fl_device *device, struct fl_filters *call);
void fl_device_statistics(struct fl_device *device, struct fl_statistics *out);
/* As the first queue has it; for all queues, until the adapter is down */
void fl_device_read_coalescing(struct fl_device *device, struct fl_coalescing *out);
void fl_device_set_coalescing(struct fl_device *device, struct fl_coalescing *call);

/* data. Interrupts: mask, read the status, look for work, unmask with that status; newer work interrupts at once. */
void fl_queue_mask(struct fl_queue *queue);
u32 fl_queue_status(struct fl_queue *queue);
void fl_queue_unmask(struct fl_queue *queue, u32 status);
/* Takes up to `limit` (at most FL_BATCH) frames from the ring and describes them; gives their number, or -EIO for good. The
 * next call gives back what was not taken. */
int fl_queue_receive(struct fl_queue *queue, struct fl_frame *frames, u32 limit);
/* Copies frame `slot` of the last batch to `target` and gives its buffers back; gives the bytes copied. */
u32 fl_queue_take(struct fl_queue *queue, u32 slot, void *target, u32 length);
/* Copies a frame into the queue's memory and sends it: 0, -ENOSPC for now, -EINVAL it breaks a rule of the chip, -EIO for
 * good. No frame takes more than FL_MAX_DESCRIPTORS. */
int fl_queue_send(struct fl_queue *queue, const struct fl_send *call);
/* Frees what was sent and says how much that was; gives the descriptors that there is room for, or -EIO for good. */
int fl_queue_reap(struct fl_queue *queue, struct fl_sent *out);
int fl_queue_room(struct fl_queue *queue);
void fl_queue_counters(struct fl_queue *queue, struct fl_counters *out);

/* ---- C, called by Rust (host.c) ---- */

/* control: memory of the kernel's heap, or NULL; no more than a page's alignment */
void *fl_kernel_alloc(size_t bytes);
void fl_kernel_free(void *memory);
/* control: zeroed, coherent, aligned to its size rounded up to a power of two where the platform can, or NULL */
void *fl_kernel_dma_alloc(void *device, size_t bytes, u64 *bus);
void fl_kernel_dma_free(void *device, size_t bytes, void *memory, u64 bus);
/* any */
u64 fl_kernel_now_us(void);
/* control: at least so long; sleeps when that is long enough to be worth it */
void fl_kernel_wait_ns(u64 ns);
/* any: `length` bytes, no newline, no terminating 0 */
void fl_kernel_log(int level, const char *text, size_t length);
/* data, inside fl_queue_send(): copies bytes of a struct sk_buff out; 0, or not so many are there */
int fl_kernel_frame_copy(const void *frame, u32 offset, void *target, u32 length);
/* any: does not return */
void fl_kernel_bug(void) __attribute__((noreturn));

#endif
