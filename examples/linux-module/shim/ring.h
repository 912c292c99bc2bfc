/* SPDX-License-Identifier: (GPL-2.0 OR MIT) */
#ifndef FASTLINQ_RING_H
#define FASTLINQ_RING_H

#include <linux/interrupt.h>

#include "port.h"

irqreturn_t fl_ring_interrupt(int irq, void *ring);
/* May sleep. Before the stop NAPI and transmission are disabled. */
void fl_ring_start(struct fl_ring *ring, struct fl_queue *queue);
void fl_ring_stop(struct fl_ring *ring);
netdev_tx_t fl_xmit(struct sk_buff *skb, struct net_device *netdev);
netdev_features_t fl_features_check(struct sk_buff *skb, struct net_device *netdev, netdev_features_t features);

#endif
