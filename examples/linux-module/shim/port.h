/* SPDX-License-Identifier: (GPL-2.0 OR MIT) */
/* One PCI function as a network device. */
#ifndef FASTLINQ_PORT_H
#define FASTLINQ_PORT_H

#include <linux/mutex.h>
#include <linux/netdevice.h>
#include <linux/pci.h>
#include <linux/spinlock.h>
#include <linux/u64_stats_sync.h>
#include <linux/workqueue.h>

#include "fastlinq.h"

struct fl_port;

struct fl_traffic {
	u64_stats_t packets;
	u64_stats_t bytes;
	u64_stats_t dropped;
	u64_stats_t errors;
	struct u64_stats_sync sync;
};

/* A queue pair with its vector. */
struct fl_ring {
	struct napi_struct napi;
	/* Whoever calls fl_queue_*() holds it, in both directions. */
	spinlock_t lock;
	struct fl_queue *queue; /* NULL while the adapter is down */
	struct fl_port *port;
	u16 index;
	bool masked;
	bool failed; /* the device said something impossible; a reset is on its way */
	char name[IFNAMSIZ + 16];
	struct fl_traffic received;
	struct fl_traffic sent;
	struct fl_frame frames[FL_BATCH];
} ____cacheline_aligned_in_smp;

struct fl_port {
	struct pci_dev *pdev;
	struct net_device *netdev;
	/* Control calls, one at a time; `device` and `stack` belong to the holder. */
	struct mutex control;
	struct fl_device *device;
	void *stack;
	void __iomem *registers;
	void __iomem *doorbells;
	struct fl_ring *rings; /* one for each queue vector */
	u16 ring_count; /* vectors for queues */
	u16 wanted; /* queue pairs that the user wants */
	u16 queues; /* queue pairs that are open */
	u16 receive_ring; /* RTNL: what the user wants, as the next three */
	u16 transmit_ring;
	u16 receive_us;
	u16 transmit_us;
	bool up; /* RTNL: the adapter is up */
	bool gone; /* the device does not answer any more */
	struct fl_identity identity;
	u8 storm_firmware[4];
	struct fl_news link; /* under `control` */
	struct fl_statistics statistics; /* under `control` */
	u64 resets;
	u64 troubles;
	struct delayed_work service;
	struct work_struct filter;
	struct work_struct reset;
};

/* Down and up again, with the RTNL held. */
int fl_port_up(struct fl_port *port);
void fl_port_down(struct fl_port *port);
int fl_port_restart(struct fl_port *port);
/* Sleeps; brings `port->statistics` up to date if the adapter is up. */
void fl_port_update_statistics(struct fl_port *port);

extern const struct net_device_ops fl_netdev_ops;
extern const struct ethtool_ops fl_ethtool_ops;

void fl_port_service(struct work_struct *work);
void fl_port_filter(struct work_struct *work);
void fl_port_reset(struct work_struct *work);
int fl_ring_poll(struct napi_struct *napi, int budget);

#endif
