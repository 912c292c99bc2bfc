// SPDX-License-Identifier: (GPL-2.0 OR MIT)
/* The data path: a queue pair's NAPI and its transmission. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/etherdevice.h>
#include <linux/if_vlan.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>

#include "port.h"
#include "ring.h"

/* Transmission stops when the next frame might not fit, and goes on with some air. */
#define FL_ROOM_STOP FL_MAX_DESCRIPTORS
#define FL_ROOM_WAKE (2 * FL_MAX_DESCRIPTORS)

static void fl_count(struct fl_traffic *traffic, unsigned int packets, unsigned int bytes)
{
	u64_stats_update_begin(&traffic->sync);
	u64_stats_add(&traffic->packets, packets);
	u64_stats_add(&traffic->bytes, bytes);
	u64_stats_update_end(&traffic->sync);
}

static void fl_count_lost(struct fl_traffic *traffic, u64_stats_t *counter)
{
	u64_stats_update_begin(&traffic->sync);
	u64_stats_inc(counter);
	u64_stats_update_end(&traffic->sync);
}

/* The device said something impossible: the queue is of no use until the adapter was down. */
static void fl_ring_fail(struct fl_ring *ring)
{
	struct fl_port *port = ring->port;

	if (ring->failed)
		return;
	ring->failed = true;
	if (!port->gone)
		schedule_work(&port->reset);
}

static struct sk_buff *fl_ring_skb(struct fl_ring *ring, u32 slot)
{
	struct net_device *netdev = ring->port->netdev;
	const struct fl_frame *frame = &ring->frames[slot];
	struct sk_buff *skb = napi_alloc_skb(&ring->napi, frame->length);

	if (!skb) {
		fl_queue_take(ring->queue, slot, NULL, 0);
		fl_count_lost(&ring->received, &ring->received.dropped);
		return NULL;
	}
	if (fl_queue_take(ring->queue, slot, skb_put(skb, frame->length), frame->length) != frame->length) {
		fl_count_lost(&ring->received, &ring->received.errors);
		kfree_skb(skb);
		return NULL;
	}
	if (frame->checksum_good && netdev->features & NETIF_F_RXCSUM)
		skb->ip_summed = CHECKSUM_UNNECESSARY;
	if (frame->hashed && netdev->features & NETIF_F_RXHASH)
		skb_set_hash(skb, frame->hash, frame->hash_over_ports ? PKT_HASH_TYPE_L4 : PKT_HASH_TYPE_L3);
	skb_record_rx_queue(skb, ring->index);
	skb->protocol = eth_type_trans(skb, netdev);
	return skb;
}

/* Takes frames into `frames`; gives the number of those that the ring gave. */
static int fl_ring_receive(struct fl_ring *ring, struct sk_buff_head *frames, int budget)
{
	unsigned int packets = 0, bytes = 0;
	int done = 0;

	while (done < budget) {
		int count = fl_queue_receive(ring->queue, ring->frames, min(budget - done, FL_BATCH));
		int slot;

		if (count < 0) {
			fl_ring_fail(ring);
			break;
		}
		for (slot = 0; slot < count; slot++) {
			struct sk_buff *skb = fl_ring_skb(ring, slot);

			if (!skb)
				continue;
			packets++;
			bytes += ring->frames[slot].length;
			__skb_queue_tail(frames, skb);
		}
		done += count;
		if (!count)
			break;
	}
	fl_count(&ring->received, packets, bytes);
	return done;
}

int fl_ring_poll(struct napi_struct *napi, int budget)
{
	struct fl_ring *ring = container_of(napi, struct fl_ring, napi);
	struct netdev_queue *queue = netdev_get_tx_queue(ring->port->netdev, ring->index);
	struct sk_buff_head frames;
	struct sk_buff *skb;
	struct fl_sent sent = {};
	int done = 0, room;
	u32 status;

	__skb_queue_head_init(&frames);
	spin_lock(&ring->lock);
	if (unlikely(!ring->queue)) {
		spin_unlock(&ring->lock);
		napi_complete_done(napi, 0);
		return 0;
	}
	if (!ring->masked) {
		fl_queue_mask(ring->queue);
		ring->masked = true;
	}
	/* Work that comes after this has another status, and interrupts. */
	status = fl_queue_status(ring->queue);
	room = fl_queue_reap(ring->queue, &sent);
	netdev_tx_completed_queue(queue, sent.frames, sent.bytes);
	if (room < 0)
		fl_ring_fail(ring);
	else if (room >= FL_ROOM_WAKE && netif_tx_queue_stopped(queue))
		netif_tx_wake_queue(queue);
	if (budget > 0)
		done = fl_ring_receive(ring, &frames, budget);
	spin_unlock(&ring->lock);

	/* Without the lock: the stack may answer at once. */
	while ((skb = __skb_dequeue(&frames)))
		napi_gro_receive(napi, skb);

	if (done < budget && napi_complete_done(napi, done)) {
		spin_lock(&ring->lock);
		if (ring->queue && !ring->failed) {
			ring->masked = false;
			fl_queue_unmask(ring->queue, status);
		}
		spin_unlock(&ring->lock);
	}
	return done;
}

irqreturn_t fl_ring_interrupt(int irq, void *data)
{
	struct fl_ring *ring = data;

	napi_schedule_irqoff(&ring->napi);
	return IRQ_HANDLED;
}

void fl_ring_start(struct fl_ring *ring, struct fl_queue *queue)
{
	spin_lock_bh(&ring->lock);
	ring->failed = false;
	ring->masked = false;
	ring->queue = queue;
	netdev_tx_reset_queue(netdev_get_tx_queue(ring->port->netdev, ring->index));
	spin_unlock_bh(&ring->lock);
	napi_enable(&ring->napi);
	spin_lock_bh(&ring->lock);
	fl_queue_unmask(queue, fl_queue_status(queue));
	spin_unlock_bh(&ring->lock);
}

void fl_ring_stop(struct fl_ring *ring)
{
	spin_lock_bh(&ring->lock);
	ring->queue = NULL;
	spin_unlock_bh(&ring->lock);
}

netdev_tx_t fl_xmit(struct sk_buff *skb, struct net_device *netdev)
{
	struct fl_port *port = netdev_priv(netdev);
	struct fl_ring *ring = &port->rings[skb_get_queue_mapping(skb)];
	struct netdev_queue *queue = skb_get_tx_queue(netdev, skb);
	struct fl_send call = { .frame = skb, .length = skb->len };
	unsigned int packets = 1, bytes = skb->len;
	int error = -EIO;

	if (skb->ip_summed == CHECKSUM_PARTIAL) {
		call.checksum = 1;
		if (skb_is_gso(skb)) {
			call.headers = skb_tcp_all_headers(skb);
			call.payload = skb_shinfo(skb)->gso_size;
			/* Counted as they are on the wire. */
			packets = DIV_ROUND_UP(skb->len - call.headers, call.payload);
			bytes += (packets - 1) * call.headers;
		}
	}
	if (skb_vlan_tag_present(skb)) {
		call.tagged = 1;
		call.tag = skb_vlan_tag_get(skb);
	}
	spin_lock(&ring->lock);
	if (likely(ring->queue))
		error = fl_queue_send(ring->queue, &call);
	if (unlikely(error == -ENOSPC)) {
		netif_tx_stop_queue(queue);
		spin_unlock(&ring->lock);
		return NETDEV_TX_BUSY;
	}
	if (unlikely(error)) {
		if (error == -EIO && ring->queue)
			fl_ring_fail(ring);
		goto drop;
	}
	netdev_tx_sent_queue(queue, call.length);
	/* The lock orders this with the poll that makes room. */
	if (fl_queue_room(ring->queue) < FL_ROOM_STOP)
		netif_tx_stop_queue(queue);
	fl_count(&ring->sent, packets, bytes);
	spin_unlock(&ring->lock);
	dev_consume_skb_any(skb);
	return NETDEV_TX_OK;

drop:
	fl_count_lost(&ring->sent, &ring->sent.dropped);
	spin_unlock(&ring->lock);
	dev_kfree_skb_any(skb);
	return NETDEV_TX_OK;
}

/* The device finds TCP and UDP by itself, but not in tunnels and not behind extension headers. */
netdev_features_t fl_features_check(struct sk_buff *skb, struct net_device *netdev, netdev_features_t features)
{
	bool extensions = vlan_get_protocol(skb) == htons(ETH_P_IPV6) &&
			  skb_network_header_len(skb) != sizeof(struct ipv6hdr);

	if (skb->ip_summed == CHECKSUM_PARTIAL && (skb->encapsulation || extensions))
		features &= ~(NETIF_F_CSUM_MASK | NETIF_F_GSO_MASK);
	return vlan_features_check(skb, features);
}
