// SPDX-License-Identifier: (GPL-2.0 OR MIT)
/* ethtool: who it is, link, queues, statistics. */
#include <linux/ethtool.h>
#include <linux/rtnetlink.h>

#include "control.h"

struct fl_string {
	char name[ETH_GSTRING_LEN];
	size_t offset;
};
#define FL_DEVICE(field) { #field, offsetof(struct fl_statistics, field) }
#define FL_QUEUE(field) { #field, offsetof(struct fl_counters, field) }

static const struct fl_string fl_device_strings[] = {
	FL_DEVICE(received_unicast),   FL_DEVICE(received_multicast), FL_DEVICE(received_broadcast),
	FL_DEVICE(received_bytes),     FL_DEVICE(sent_unicast),	      FL_DEVICE(sent_multicast),
	FL_DEVICE(sent_broadcast),     FL_DEVICE(sent_bytes),	      FL_DEVICE(transmit_errors),
	FL_DEVICE(dropped_too_big),    FL_DEVICE(dropped_no_buffer),  FL_DEVICE(dropped_inactive),
	FL_DEVICE(truncated),	       FL_DEVICE(mac_errors),	      FL_DEVICE(dropped_no_vport),
};

static const struct fl_string fl_queue_strings[] = {
	FL_QUEUE(received),	  FL_QUEUE(received_bytes),  FL_QUEUE(received_scattered), FL_QUEUE(receive_errors),
	FL_QUEUE(receive_starved), FL_QUEUE(sent),	     FL_QUEUE(sent_bytes),	   FL_QUEUE(refused),
	FL_QUEUE(full),		  FL_QUEUE(doorbells),
};

static const char fl_port_strings[][ETH_GSTRING_LEN] = { "resets", "troubles", "control_stack_used" };

static int fl_get_sset_count(struct net_device *netdev, int set)
{
	struct fl_port *port = netdev_priv(netdev);

	if (set != ETH_SS_STATS)
		return -EOPNOTSUPP;
	return ARRAY_SIZE(fl_port_strings) + ARRAY_SIZE(fl_device_strings) +
	       port->ring_count * ARRAY_SIZE(fl_queue_strings);
}

static void fl_get_strings(struct net_device *netdev, u32 set, u8 *data)
{
	struct fl_port *port = netdev_priv(netdev);
	int index, field;

	if (set != ETH_SS_STATS)
		return;
	memcpy(data, fl_port_strings, sizeof(fl_port_strings));
	data += sizeof(fl_port_strings);
	for (field = 0; field < ARRAY_SIZE(fl_device_strings); field++, data += ETH_GSTRING_LEN)
		memcpy(data, fl_device_strings[field].name, ETH_GSTRING_LEN);
	for (index = 0; index < port->ring_count; index++)
		for (field = 0; field < ARRAY_SIZE(fl_queue_strings); field++, data += ETH_GSTRING_LEN)
			snprintf(data, ETH_GSTRING_LEN, "%d: %s", index, fl_queue_strings[field].name);
}

static void fl_get_ethtool_stats(struct net_device *netdev, struct ethtool_stats *stats, u64 *data)
{
	struct fl_port *port = netdev_priv(netdev);
	int index, field;

	fl_port_update_statistics(port);
	*data++ = port->resets;
	*data++ = port->troubles;
	*data++ = fl_stack_used(port);
	for (field = 0; field < ARRAY_SIZE(fl_device_strings); field++)
		*data++ = *(u64 *)((u8 *)&port->statistics + fl_device_strings[field].offset);
	for (index = 0; index < port->ring_count; index++) {
		struct fl_ring *ring = &port->rings[index];
		struct fl_counters counters = {};

		spin_lock_bh(&ring->lock);
		if (ring->queue)
			fl_queue_counters(ring->queue, &counters);
		spin_unlock_bh(&ring->lock);
		for (field = 0; field < ARRAY_SIZE(fl_queue_strings); field++)
			*data++ = *(u64 *)((u8 *)&counters + fl_queue_strings[field].offset);
	}
}

static void fl_get_drvinfo(struct net_device *netdev, struct ethtool_drvinfo *info)
{
	struct fl_port *port = netdev_priv(netdev);
	u32 version = port->identity.management_firmware;
	const u8 *storm = port->storm_firmware;

	strscpy(info->driver, KBUILD_MODNAME, sizeof(info->driver));
	strscpy(info->bus_info, pci_name(port->pdev), sizeof(info->bus_info));
	snprintf(info->fw_version, sizeof(info->fw_version), "mfw %u.%u.%u.%u storm %u.%u.%u.%u", version >> 24,
		 version >> 16 & 0xff, version >> 8 & 0xff, version & 0xff, storm[0], storm[1], storm[2], storm[3]);
}

static int fl_get_link_ksettings(struct net_device *netdev, struct ethtool_link_ksettings *settings)
{
	struct fl_port *port = netdev_priv(netdev);

	ethtool_link_ksettings_zero_link_mode(settings, supported);
	ethtool_link_ksettings_zero_link_mode(settings, advertising);
	mutex_lock(&port->control);
	settings->base.port = PORT_OTHER;
	settings->base.speed = SPEED_UNKNOWN;
	settings->base.duplex = DUPLEX_UNKNOWN;
	if (netif_carrier_ok(netdev)) {
		settings->base.speed = port->link.speed_mbps;
		settings->base.duplex = port->link.full_duplex ? DUPLEX_FULL : DUPLEX_HALF;
	}
	settings->base.autoneg = port->link.autonegotiation ? AUTONEG_ENABLE : AUTONEG_DISABLE;
	mutex_unlock(&port->control);
	return 0;
}

static void fl_get_channels(struct net_device *netdev, struct ethtool_channels *channels)
{
	struct fl_port *port = netdev_priv(netdev);

	channels->max_combined = port->ring_count;
	channels->combined_count = port->up ? port->queues : port->wanted;
}

static int fl_set_channels(struct net_device *netdev, struct ethtool_channels *channels)
{
	struct fl_port *port = netdev_priv(netdev);

	if (!channels->combined_count || channels->combined_count > port->ring_count)
		return -EINVAL;
	port->wanted = channels->combined_count;
	return fl_port_restart(port);
}

static void fl_get_ringparam(struct net_device *netdev, struct ethtool_ringparam *rings,
			     struct kernel_ethtool_ringparam *more, struct netlink_ext_ack *why)
{
	struct fl_port *port = netdev_priv(netdev);

	rings->rx_max_pending = FL_MAX_RECEIVE_RING;
	rings->tx_max_pending = FL_MAX_TRANSMIT_RING;
	rings->rx_pending = port->receive_ring;
	rings->tx_pending = port->transmit_ring;
}

/* The kernel has seen to the upper bounds. */
static int fl_set_ringparam(struct net_device *netdev, struct ethtool_ringparam *rings,
			    struct kernel_ethtool_ringparam *more, struct netlink_ext_ack *why)
{
	struct fl_port *port = netdev_priv(netdev);

	if (rings->rx_pending < FL_MIN_RING || rings->tx_pending < FL_MIN_RING) {
		NL_SET_ERR_MSG(why, "a ring has at least 128 descriptors");
		return -EINVAL;
	}
	port->receive_ring = rings->rx_pending;
	port->transmit_ring = rings->tx_pending;
	return fl_port_restart(port);
}

static int fl_get_coalesce(struct net_device *netdev, struct ethtool_coalesce *times,
			   struct kernel_ethtool_coalesce *more, struct netlink_ext_ack *why)
{
	struct fl_port *port = netdev_priv(netdev);
	struct fl_coalescing now = { .receive_us = port->receive_us, .transmit_us = port->transmit_us };

	if (port->up && !port->gone) {
		mutex_lock(&port->control);
		fl_control(port, fl_device_read_coalescing, &now);
		mutex_unlock(&port->control);
	}
	times->rx_coalesce_usecs = now.receive_us;
	times->tx_coalesce_usecs = now.transmit_us;
	return now.result;
}

static int fl_set_coalesce(struct net_device *netdev, struct ethtool_coalesce *times,
			   struct kernel_ethtool_coalesce *more, struct netlink_ext_ack *why)
{
	struct fl_port *port = netdev_priv(netdev);
	struct fl_coalescing call = { .receive_us = times->rx_coalesce_usecs, .transmit_us = times->tx_coalesce_usecs };

	if (times->rx_coalesce_usecs > FL_MAX_COALESCING_US || times->tx_coalesce_usecs > FL_MAX_COALESCING_US) {
		NL_SET_ERR_MSG(why, "the device waits 511 microseconds at most");
		return -EINVAL;
	}
	if (port->up && !port->gone) {
		mutex_lock(&port->control);
		fl_control(port, fl_device_set_coalescing, &call);
		mutex_unlock(&port->control);
		if (call.result)
			return call.result;
	}
	port->receive_us = call.receive_us;
	port->transmit_us = call.transmit_us;
	return 0;
}

const struct ethtool_ops fl_ethtool_ops = {
	.supported_coalesce_params = ETHTOOL_COALESCE_USECS,
	.get_drvinfo = fl_get_drvinfo,
	.get_link = ethtool_op_get_link,
	.get_sset_count = fl_get_sset_count,
	.get_strings = fl_get_strings,
	.get_ethtool_stats = fl_get_ethtool_stats,
	.get_link_ksettings = fl_get_link_ksettings,
	.get_channels = fl_get_channels,
	.set_channels = fl_set_channels,
	.get_ringparam = fl_get_ringparam,
	.set_ringparam = fl_set_ringparam,
	.get_coalesce = fl_get_coalesce,
	.set_coalesce = fl_set_coalesce,
};
