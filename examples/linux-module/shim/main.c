// SPDX-License-Identifier: (GPL-2.0 OR MIT)
/* Finding a function, and letting go of it. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/etherdevice.h>
#include <linux/module.h>
#include <linux/rtnetlink.h>

#include "control.h"

static int log_level = 2;
module_param(log_level, int, 0444);
MODULE_PARM_DESC(log_level, "lines of the driver crates: 1 errors, 2 warnings (default), 3 information, 4 debug");

static int fl_map(struct fl_port *port)
{
	struct pci_dev *pdev = port->pdev;
	struct fl_host host = {
		.device = &pdev->dev,
		.registers_length = pci_resource_len(pdev, 0),
		.doorbells_length = pci_resource_len(pdev, 2),
		.vendor = pdev->vendor,
		.device_id = pdev->device,
		.subsystem_vendor = pdev->subsystem_vendor,
		.subsystem = pdev->subsystem_device,
		.revision = pdev->revision,
		.vectors = port->ring_count + 1,
	};

	port->registers = pci_ioremap_bar(pdev, 0);
	port->doorbells = pci_ioremap_bar(pdev, 2);
	port->stack = vmalloc(FL_STACK_BYTES);
	port->device = kvzalloc(ALIGN(fl_device_size(), 64), GFP_KERNEL);
	if (!port->registers || !port->doorbells || !port->stack || !port->device) {
		kvfree(port->device);
		port->device = NULL;
		return -ENOMEM;
	}
	memset(port->stack, FL_STACK_FILL, FL_STACK_BYTES);
	host.registers = (void __force *)port->registers;
	host.doorbells = (void __force *)port->doorbells;
	mutex_lock(&port->control);
	fl_control(port, fl_device_new, &host);
	mutex_unlock(&port->control);
	return 0;
}

static void fl_unmap(struct fl_port *port)
{
	if (port->device) {
		mutex_lock(&port->control);
		fl_control(port, fl_device_drop, NULL);
		mutex_unlock(&port->control);
		kvfree(port->device);
	}
	vfree(port->stack);
	if (port->doorbells)
		iounmap(port->doorbells);
	if (port->registers)
		iounmap(port->registers);
}

static int fl_identify(struct fl_port *port)
{
	struct fl_identity *identity = &port->identity;
	u32 version;

	mutex_lock(&port->control);
	fl_control(port, fl_device_identify, identity);
	mutex_unlock(&port->control);
	if (identity->result)
		return identity->result;
	if (identity->has_address && is_valid_ether_addr(identity->address))
		eth_hw_addr_set(port->netdev, identity->address);
	else
		eth_hw_addr_random(port->netdev);
	version = identity->management_firmware;
	if (identity->images >= 0)
		pci_info(port->pdev, "management firmware %u.%u.%u.%u, %d flash images\n", version >> 24,
			 version >> 16 & 0xff, version >> 8 & 0xff, version & 0xff, identity->images);
	else
		pci_info(port->pdev, "management firmware %u.%u.%u.%u, which does not tell of flash images\n",
			 version >> 24, version >> 16 & 0xff, version >> 8 & 0xff, version & 0xff);
	return 0;
}

static int fl_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct net_device *netdev;
	struct fl_port *port;
	int queues, error, index;

	error = pci_enable_device_mem(pdev);
	if (error)
		return error;
	error = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
	if (!error)
		error = pci_request_mem_regions(pdev, KBUILD_MODNAME);
	if (error)
		goto disable;
	pci_set_master(pdev);

	queues = min_t(int, num_online_cpus(), FL_MAX_QUEUES);
	queues = pci_alloc_irq_vectors(pdev, 2, queues + 1, PCI_IRQ_MSIX) - 1;
	if (queues < 1) {
		pci_err(pdev, "no MSI-X vectors: %d\n", queues + 1);
		error = -ENOSPC;
		goto release;
	}
	error = -ENOMEM;
	netdev = alloc_etherdev_mqs(sizeof(*port), queues, queues);
	if (!netdev)
		goto vectors;
	SET_NETDEV_DEV(netdev, &pdev->dev);
	pci_set_drvdata(pdev, netdev);
	port = netdev_priv(netdev);
	port->pdev = pdev;
	port->netdev = netdev;
	port->ring_count = queues;
	port->wanted = queues;
	port->receive_ring = FL_MAX_RECEIVE_RING;
	port->transmit_ring = FL_MAX_TRANSMIT_RING;
	port->receive_us = 24;
	port->transmit_us = 48;
	mutex_init(&port->control);
	INIT_DELAYED_WORK(&port->service, fl_port_service);
	INIT_WORK(&port->filter, fl_port_filter);
	INIT_WORK(&port->reset, fl_port_reset);
	port->rings = kvcalloc(queues, sizeof(*port->rings), GFP_KERNEL);
	if (!port->rings)
		goto netdev;
	error = fl_map(port);
	if (error)
		goto unmap;
	error = fl_identify(port);
	if (error)
		goto unmap;

	netdev->netdev_ops = &fl_netdev_ops;
	netdev->ethtool_ops = &fl_ethtool_ops;
	netdev->priv_flags |= IFF_LIVE_ADDR_CHANGE;
	netdev->watchdog_timeo = 5 * HZ;
	netdev->min_mtu = ETH_MIN_MTU;
	netdev->max_mtu = 9600;
	netdev->hw_features = NETIF_F_RXCSUM | NETIF_F_RXHASH | NETIF_F_SG | NETIF_F_IP_CSUM | NETIF_F_IPV6_CSUM |
			      NETIF_F_TSO | NETIF_F_TSO6;
	netdev->vlan_features = netdev->hw_features;
	netdev->hw_features |= NETIF_F_HW_VLAN_CTAG_TX;
	netdev->features = netdev->hw_features | NETIF_F_HIGHDMA;
	for (index = 0; index < queues; index++) {
		struct fl_ring *ring = &port->rings[index];

		ring->port = port;
		ring->index = index;
		spin_lock_init(&ring->lock);
		u64_stats_init(&ring->received.sync);
		u64_stats_init(&ring->sent.sync);
		netif_napi_add(netdev, &ring->napi, fl_ring_poll);
	}
	netif_carrier_off(netdev);
	error = register_netdev(netdev);
	if (!error)
		return 0;

	for (index = 0; index < queues; index++)
		netif_napi_del(&port->rings[index].napi);
unmap:
	fl_unmap(port);
	kvfree(port->rings);
netdev:
	free_netdev(netdev);
vectors:
	pci_free_irq_vectors(pdev);
release:
	pci_clear_master(pdev);
	pci_release_mem_regions(pdev);
disable:
	pci_disable_device(pdev);
	return error;
}

static void fl_remove(struct pci_dev *pdev)
{
	struct net_device *netdev = pci_get_drvdata(pdev);
	struct fl_port *port = netdev_priv(netdev);
	int index;

	/* Takes the interface down, and with it the adapter. */
	unregister_netdev(netdev);
	cancel_work_sync(&port->reset);
	cancel_work_sync(&port->filter);
	cancel_delayed_work_sync(&port->service);
	for (index = 0; index < port->ring_count; index++)
		netif_napi_del(&port->rings[index].napi);
	fl_unmap(port);
	kvfree(port->rings);
	free_netdev(netdev);
	pci_free_irq_vectors(pdev);
	pci_clear_master(pdev);
	pci_release_mem_regions(pdev);
	pci_disable_device(pdev);
}

/* Somebody resets the function: the adapter is down meanwhile. */
static void fl_reset_prepare(struct pci_dev *pdev)
{
	struct net_device *netdev = pci_get_drvdata(pdev);

	rtnl_lock();
	netif_device_detach(netdev);
	fl_port_down(netdev_priv(netdev));
	rtnl_unlock();
}

static void fl_reset_done(struct pci_dev *pdev)
{
	struct net_device *netdev = pci_get_drvdata(pdev);
	struct fl_port *port = netdev_priv(netdev);

	rtnl_lock();
	port->gone = false;
	if (netif_running(netdev) && fl_port_up(port))
		dev_close(netdev);
	netif_device_attach(netdev);
	rtnl_unlock();
}

static const struct pci_error_handlers fl_error_handlers = {
	.reset_prepare = fl_reset_prepare,
	.reset_done = fl_reset_done,
};

#define FL_ID(id) { PCI_DEVICE(0x1077, id) }
static const struct pci_device_id fl_ids[] = {
	/* QL45000 */
	FL_ID(0x1629), FL_ID(0x1634), FL_ID(0x1636), FL_ID(0x1644), FL_ID(0x1654), FL_ID(0x1656), FL_ID(0x1666),
	/* QL41000 */
	FL_ID(0x8070),
	{}
};
MODULE_DEVICE_TABLE(pci, fl_ids);

static struct pci_driver fl_driver = {
	.name = KBUILD_MODNAME,
	.id_table = fl_ids,
	.probe = fl_probe,
	.remove = fl_remove,
	.err_handler = &fl_error_handlers,
};

static int __init fl_init(void)
{
	fl_log_level(log_level);
	return pci_register_driver(&fl_driver);
}
module_init(fl_init);

static void __exit fl_exit(void)
{
	pci_unregister_driver(&fl_driver);
}
module_exit(fl_exit);

MODULE_DESCRIPTION("QLogic/Marvell FastLinQ 4xxxx Ethernet adapters");
MODULE_LICENSE("Dual MIT/GPL");
MODULE_FIRMWARE("qed/qed_init_values_zipped-8.59.1.0.bin");
