// SPDX-License-Identifier: (GPL-2.0 OR MIT)
/* The network device: up and down, link, filters, statistics. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/etherdevice.h>
#include <linux/firmware.h>
#include <linux/rtnetlink.h>

#include "control.h"
#include "ring.h"

#define FL_FIRMWARE "qed/qed_init_values_zipped-8.59.1.0.bin"
/* Addresses beyond that make the interface take all of their kind. */
#define FL_FILTERS 64

static irqreturn_t fl_port_interrupt(int irq, void *data)
{
	struct fl_port *port = data;

	mod_delayed_work(system_wq, &port->service, 0);
	return IRQ_HANDLED;
}

static int fl_port_request_irqs(struct fl_port *port)
{
	struct pci_dev *pdev = port->pdev;
	int node = dev_to_node(&pdev->dev), index, error;

	error = request_irq(pci_irq_vector(pdev, 0), fl_port_interrupt, 0, port->netdev->name, port);
	if (error)
		return error;
	for (index = 0; index < port->queues; index++) {
		struct fl_ring *ring = &port->rings[index];
		const struct cpumask *cpu = cpumask_of(cpumask_local_spread(index, node));
		int irq = pci_irq_vector(pdev, index + 1);

		snprintf(ring->name, sizeof(ring->name), "%s-%d", port->netdev->name, index);
		error = request_irq(irq, fl_ring_interrupt, 0, ring->name, ring);
		if (error)
			goto undo;
		irq_set_affinity_and_hint(irq, cpu);
		netif_set_xps_queue(port->netdev, cpu, index);
	}
	return 0;

undo:
	while (index--) {
		irq_update_affinity_hint(pci_irq_vector(pdev, index + 1), NULL);
		free_irq(pci_irq_vector(pdev, index + 1), &port->rings[index]);
	}
	free_irq(pci_irq_vector(pdev, 0), port);
	return error;
}

static void fl_port_free_irqs(struct fl_port *port)
{
	int index;

	for (index = 0; index < port->queues; index++) {
		int irq = pci_irq_vector(port->pdev, index + 1);

		irq_update_affinity_hint(irq, NULL);
		free_irq(irq, &port->rings[index]);
	}
	free_irq(pci_irq_vector(port->pdev, 0), port);
}

static int fl_port_down_device(struct fl_port *port)
{
	int result = 0;

	mutex_lock(&port->control);
	fl_control(port, fl_device_down, &result);
	mutex_unlock(&port->control);
	return result;
}

/* Rust brings the adapter up; the call is too large for the stack. */
static int fl_port_up_device(struct fl_port *port, struct fl_up *call)
{
	const struct firmware *firmware;
	int error;

	error = request_firmware(&firmware, FL_FIRMWARE, &port->pdev->dev);
	if (error)
		return error;
	call->firmware = firmware->data;
	call->firmware_length = firmware->size;
	call->mtu = port->netdev->mtu;
	call->queues = port->wanted;
	call->receive_ring = port->receive_ring;
	call->transmit_ring = port->transmit_ring;
	call->receive_us = port->receive_us;
	call->transmit_us = port->transmit_us;
	ether_addr_copy(call->address, port->netdev->dev_addr);
	netdev_rss_key_fill(call->rss_key, sizeof(call->rss_key));
	mutex_lock(&port->control);
	fl_control(port, fl_device_up, call);
	mutex_unlock(&port->control);
	release_firmware(firmware);
	memcpy(port->storm_firmware, call->storm_firmware, sizeof(port->storm_firmware));
	return call->result;
}

int fl_port_up(struct fl_port *port)
{
	struct net_device *netdev = port->netdev;
	struct fl_up *call;
	int error, index;

	ASSERT_RTNL();
	if (port->up)
		return 0;
	call = kzalloc(sizeof(*call), GFP_KERNEL);
	if (!call)
		return -ENOMEM;
	error = fl_port_up_device(port, call);
	if (error) {
		netdev_err(netdev, "the adapter does not come up: %d\n", error);
		goto free;
	}
	port->queues = call->queues;
	error = netif_set_real_num_tx_queues(netdev, port->queues);
	if (!error)
		error = netif_set_real_num_rx_queues(netdev, port->queues);
	if (!error)
		error = fl_port_request_irqs(port);
	if (error) {
		fl_port_down_device(port);
		port->queues = 0;
		goto free;
	}
	for (index = 0; index < port->queues; index++)
		fl_ring_start(&port->rings[index], call->queue[index]);
	memset(&port->link, 0, sizeof(port->link));
	port->up = true;
	port->gone = false;
	netif_tx_start_all_queues(netdev);
	schedule_work(&port->filter);
	/* The vector may have fired before there was a handler. */
	mod_delayed_work(system_wq, &port->service, 0);
free:
	kfree(call);
	return error;
}

void fl_port_down(struct fl_port *port)
{
	struct net_device *netdev = port->netdev;
	int index, error;

	ASSERT_RTNL();
	if (!port->up)
		return;
	port->up = false;
	cancel_work_sync(&port->filter);
	cancel_delayed_work_sync(&port->service);
	netif_carrier_off(netdev);
	/* First those who wake queues, then the queues. */
	for (index = 0; index < port->queues; index++)
		napi_disable(&port->rings[index].napi);
	netif_tx_disable(netdev);
	for (index = 0; index < port->queues; index++)
		fl_ring_stop(&port->rings[index]);
	fl_port_free_irqs(port);
	/* An interrupt may have come in between, and found the link up. */
	cancel_delayed_work_sync(&port->service);
	netif_carrier_off(netdev);
	error = fl_port_down_device(port);
	if (error && !port->gone)
		netdev_warn(netdev, "the adapter did not go down in order: %d\n", error);
	port->queues = 0;
}

int fl_port_restart(struct fl_port *port)
{
	int error = 0;

	if (netif_running(port->netdev)) {
		fl_port_down(port);
		error = fl_port_up(port);
		if (error)
			dev_close(port->netdev);
	}
	return error;
}

void fl_port_reset(struct work_struct *work)
{
	struct fl_port *port = container_of(work, struct fl_port, reset);

	rtnl_lock();
	if (netif_running(port->netdev) && port->up) {
		netdev_warn(port->netdev, "reset\n");
		port->resets++;
		fl_port_restart(port);
	}
	rtnl_unlock();
}

static void fl_port_tell_link(struct fl_port *port, const struct fl_news *news)
{
	bool was_up = netif_carrier_ok(port->netdev);

	port->link = *news;
	if (news->link_up == was_up)
		return;
	if (news->link_up) {
		netif_carrier_on(port->netdev);
		netdev_info(port->netdev, "link up, %u Mb/s %s duplex\n", news->speed_mbps,
			    news->full_duplex ? "full" : "half");
	} else {
		netif_carrier_off(port->netdev);
		netdev_info(port->netdev, "link down\n");
	}
}

static void fl_port_lost(struct fl_port *port, int error)
{
	if (error != -ENODEV || port->gone)
		return;
	port->gone = true;
	netdev_err(port->netdev, "the adapter is gone\n");
	netif_carrier_off(port->netdev);
}

static int fl_port_read_statistics(struct fl_port *port)
{
	struct fl_statistics fresh = {};

	fl_control(port, fl_device_statistics, &fresh);
	if (!fresh.result)
		port->statistics = fresh;
	return fresh.result;
}

void fl_port_update_statistics(struct fl_port *port)
{
	mutex_lock(&port->control);
	if (port->up && !port->gone)
		fl_port_lost(port, fl_port_read_statistics(port));
	mutex_unlock(&port->control);
}

/* When vector 0 fires, and every second: events, link, statistics, and whether the device is still there. */
void fl_port_service(struct work_struct *work)
{
	struct fl_port *port = container_of(work, struct fl_port, service.work);
	struct fl_news news = {};
	int error;

	mutex_lock(&port->control);
	fl_control(port, fl_device_events, &news);
	error = news.result;
	port->troubles += news.troubles;
	if (!error && !news.link_known) {
		fl_control(port, fl_device_link, &news);
		error = news.result;
	}
	if (!error && news.link_known)
		fl_port_tell_link(port, &news);
	if (!error)
		error = fl_port_read_statistics(port);
	fl_port_lost(port, error);
	mutex_unlock(&port->control);
	if (!port->gone)
		queue_delayed_work(system_wq, &port->service, HZ);
}

/* Addresses of a list; the list's owner is locked out meanwhile. */
static u32 fl_port_addresses(struct netdev_hw_addr_list *list, u8 (*addresses)[ETH_ALEN])
{
	struct netdev_hw_addr *address;
	u32 count = 0;

	netdev_hw_addr_list_for_each(address, list) {
		if (count == FL_FILTERS)
			return FL_FILTERS + 1;
		ether_addr_copy(addresses[count++], address->addr);
	}
	return count;
}

void fl_port_filter(struct work_struct *work)
{
	struct fl_port *port = container_of(work, struct fl_port, filter);
	struct net_device *netdev = port->netdev;
	struct fl_filters call = {};
	u8 (*addresses)[ETH_ALEN];

	addresses = kcalloc(2 * FL_FILTERS, ETH_ALEN, GFP_KERNEL);
	if (!addresses)
		return;
	netif_addr_lock_bh(netdev);
	ether_addr_copy(call.address, netdev->dev_addr);
	call.promiscuous = !!(netdev->flags & IFF_PROMISC);
	call.all_multicast = !!(netdev->flags & IFF_ALLMULTI);
	call.unicast_count = fl_port_addresses(&netdev->uc, addresses);
	call.multicast_count = fl_port_addresses(&netdev->mc, addresses + FL_FILTERS);
	netif_addr_unlock_bh(netdev);
	call.unicast = (const u8 (*)[6])addresses;
	call.multicast = (const u8 (*)[6])addresses + FL_FILTERS;
	if (call.unicast_count > FL_FILTERS) {
		call.unicast_count = 0;
		call.promiscuous = true;
	}
	if (call.multicast_count > FL_FILTERS) {
		call.multicast_count = 0;
		call.all_multicast = true;
	}
	mutex_lock(&port->control);
	fl_control(port, fl_device_filter, &call);
	fl_port_lost(port, call.result);
	mutex_unlock(&port->control);
	kfree(addresses);
}

static int fl_open(struct net_device *netdev)
{
	return fl_port_up(netdev_priv(netdev));
}

static int fl_stop(struct net_device *netdev)
{
	fl_port_down(netdev_priv(netdev));
	return 0;
}

static void fl_set_rx_mode(struct net_device *netdev)
{
	struct fl_port *port = netdev_priv(netdev);

	if (port->up)
		schedule_work(&port->filter);
}

static int fl_set_mac_address(struct net_device *netdev, void *address)
{
	int error = eth_prepare_mac_addr_change(netdev, address);

	if (error)
		return error;
	eth_commit_mac_addr_change(netdev, address);
	fl_set_rx_mode(netdev);
	return 0;
}

static int fl_change_mtu(struct net_device *netdev, int mtu)
{
	WRITE_ONCE(netdev->mtu, mtu);
	return fl_port_restart(netdev_priv(netdev));
}

static void fl_tx_timeout(struct net_device *netdev, unsigned int queue)
{
	struct fl_port *port = netdev_priv(netdev);

	netdev_warn(netdev, "queue %u does not send\n", queue);
	if (!port->gone)
		schedule_work(&port->reset);
}

static void fl_get_stats64(struct net_device *netdev, struct rtnl_link_stats64 *out)
{
	struct fl_port *port = netdev_priv(netdev);
	const struct fl_statistics *device = &port->statistics;
	unsigned int start;
	int index;

	for (index = 0; index < port->ring_count; index++) {
		const struct fl_traffic *received = &port->rings[index].received;
		const struct fl_traffic *sent = &port->rings[index].sent;
		u64 packets, bytes, dropped, errors;

		do {
			start = u64_stats_fetch_begin(&received->sync);
			packets = u64_stats_read(&received->packets);
			bytes = u64_stats_read(&received->bytes);
			dropped = u64_stats_read(&received->dropped);
			errors = u64_stats_read(&received->errors);
		} while (u64_stats_fetch_retry(&received->sync, start));
		out->rx_packets += packets;
		out->rx_bytes += bytes;
		out->rx_dropped += dropped;
		out->rx_errors += errors;
		do {
			start = u64_stats_fetch_begin(&sent->sync);
			packets = u64_stats_read(&sent->packets);
			bytes = u64_stats_read(&sent->bytes);
			dropped = u64_stats_read(&sent->dropped);
		} while (u64_stats_fetch_retry(&sent->sync, start));
		out->tx_packets += packets;
		out->tx_bytes += bytes;
		out->tx_dropped += dropped;
	}
	/* As they were a second ago at most; the device counts from each time that it comes up. */
	out->multicast = READ_ONCE(device->received_multicast);
	out->rx_missed_errors = READ_ONCE(device->dropped_no_buffer);
	out->rx_length_errors = READ_ONCE(device->dropped_too_big) + READ_ONCE(device->truncated);
	out->rx_crc_errors = READ_ONCE(device->mac_errors);
	out->rx_errors += out->rx_length_errors + out->rx_crc_errors;
	out->tx_errors = READ_ONCE(device->transmit_errors);
}

const struct net_device_ops fl_netdev_ops = {
	.ndo_open = fl_open,
	.ndo_stop = fl_stop,
	.ndo_start_xmit = fl_xmit,
	.ndo_features_check = fl_features_check,
	.ndo_set_rx_mode = fl_set_rx_mode,
	.ndo_set_mac_address = fl_set_mac_address,
	.ndo_validate_addr = eth_validate_addr,
	.ndo_change_mtu = fl_change_mtu,
	.ndo_tx_timeout = fl_tx_timeout,
	.ndo_get_stats64 = fl_get_stats64,
};
