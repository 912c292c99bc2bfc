// The burst functions of DPDK's qede driver in front of a device in memory: what fastlinq-bench does with fastlinq-net,
// for comparison.
//
// usage: qede [EAL options] -- MODE BURST RING REPETITIONS VARIANT [passes]
//   MODE     rx, tx, fwd, rxf (receive and free)
//   VARIANT  regular, full: which of the driver's two pairs of burst functions
//   passes   no clock: so many passes, for callgrind
//
// Queues are filled in by hand with the driver's own chain functions; nothing of its control path runs.

#define _GNU_SOURCE
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <x86intrin.h>

#include <rte_eal.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_version.h>

#include "qede_rxtx.h"

enum { BATCH = 256, FRAME = 64, BRACKETS = 100, WARM = 3 };

// Valgrind's processor lacks features that DPDK insists on and that are not used here.
int __wrap_rte_cpu_is_supported(void) { return 1; }

static void fail(const char *why)
{
	fprintf(stderr, "%s\n", why);
	exit(1);
}

static void *zeroed(size_t bytes)
{
	void *memory = rte_zmalloc(NULL, bytes, 4096);
	if (!memory)
		fail("no memory");
	return memory;
}

// ---- the queues ----

static struct rte_mempool *pool;
static struct qede_rx_queue *rx;
static struct qede_tx_queue *tx;

// Words that the device and the driver share, a line each.
static struct {
	volatile uint16_t rx_index __rte_cache_aligned;
	volatile uint16_t tx_index __rte_cache_aligned;
	volatile uint32_t producers __rte_cache_aligned;
	volatile uint32_t doorbell __rte_cache_aligned;
} words;

static void chain_of_links(struct ecore_chain *chain, unsigned count, unsigned element)
{
	unsigned pages = ECORE_CHAIN_PAGE_CNT(count, element, ECORE_CHAIN_MODE_NEXT_PTR);
	char *memory = zeroed((size_t)pages * 4096);
	ecore_chain_init_params(chain, pages, element, ECORE_CHAIN_USE_TO_CONSUME_PRODUCE,
				ECORE_CHAIN_MODE_NEXT_PTR, ECORE_CHAIN_CNT_TYPE_U16, NULL);
	ecore_chain_init_mem(chain, memory, (dma_addr_t)memory);
	for (unsigned page = 0; page < pages; page++) {
		char *next = memory + (page + 1) % pages * 4096;
		ecore_chain_init_next_ptr_elem(chain, memory + page * 4096, next, (dma_addr_t)next);
	}
	ecore_chain_reset(chain);
}

static void chain_with_table(struct ecore_chain *chain, unsigned count, unsigned element,
			     enum ecore_chain_use_mode use)
{
	unsigned pages = ECORE_CHAIN_PAGE_CNT(count, element, ECORE_CHAIN_MODE_PBL);
	char *memory = zeroed((size_t)pages * 4096);
	void **addresses = zeroed(pages * sizeof(*addresses));
	for (unsigned page = 0; page < pages; page++)
		addresses[page] = memory + page * 4096;
	ecore_chain_init_params(chain, pages, element, use, ECORE_CHAIN_MODE_PBL,
				ECORE_CHAIN_CNT_TYPE_U16, NULL);
	ecore_chain_init_mem(chain, memory, (dma_addr_t)memory);
	ecore_chain_init_pbl_mem(chain, zeroed(pages * 8), 0, addresses);
	ecore_chain_reset(chain);
}

static void open_queues(unsigned ring)
{
	struct qede_dev *device = zeroed(sizeof(*device));
	device->rss_enable = 1;
	device->edev.num_hwfns = 1;

	rx = zeroed(sizeof(*rx));
	rx->qdev = device;
	rx->mb_pool = pool;
	rx->nb_rx_desc = ring;
	rx->rx_buf_size = RTE_MBUF_DEFAULT_DATAROOM;
	rx->sw_rx_ring = zeroed(ring * sizeof(*rx->sw_rx_ring));
	rx->hw_cons_ptr = (uint16_t *)(uintptr_t)&words.rx_index;
	rx->hw_rxq_prod_addr = (void *)(uintptr_t)&words.producers;
	chain_of_links(&rx->rx_bd_ring, ring, sizeof(struct eth_rx_bd));
	chain_with_table(&rx->rx_comp_ring, ring, sizeof(union eth_rx_cqe), ECORE_CHAIN_USE_TO_CONSUME);
	while (rx->sw_rx_prod < ring) {
		struct rte_mbuf *packet = rte_mbuf_raw_alloc(pool);
		struct eth_rx_bd *descriptor = ecore_chain_produce(&rx->rx_bd_ring);
		uint64_t address = rte_mbuf_data_iova_default(packet);
		descriptor->addr.hi = (uint32_t)(address >> 32);
		descriptor->addr.lo = (uint32_t)address;
		rx->sw_rx_ring[rx->sw_rx_prod++ & NUM_RX_BDS(rx)] = packet;
	}

	tx = zeroed(sizeof(*tx));
	tx->qdev = device;
	tx->nb_tx_desc = ring;
	tx->nb_tx_avail = ring;
	tx->tx_free_thresh = QEDE_DEFAULT_TX_FREE_THRESH;
	tx->sw_tx_ring = zeroed((ring + 1) * sizeof(*tx->sw_tx_ring));
	tx->hw_cons_ptr = (uint16_t *)(uintptr_t)&words.tx_index;
	tx->doorbell_addr = (void *)(uintptr_t)&words.doorbell;
	chain_with_table(&tx->tx_pbl, ring, sizeof(union eth_tx_bd_types), ECORE_CHAIN_USE_TO_CONSUME_PRODUCE);
}

// ---- the device ----

static uint16_t completion, descriptor;
static unsigned long wrong;

static void device_receives(unsigned count)
{
	union eth_rx_cqe *ring = rx->rx_comp_ring.p_virt_addr;
	for (; count; count--, completion++) {
		struct eth_fast_path_rx_reg_cqe *cqe = &ring[completion & (rx->rx_comp_ring.size - 1)].fast_path_regular;
		memset(cqe, 0, sizeof(*cqe));
		cqe->type = ETH_RX_CQE_TYPE_REGULAR;
		cqe->bitfields = 5;
		cqe->pkt_len = FRAME;
		cqe->len_on_first_bd = FRAME;
		cqe->bd_num = 1;
		cqe->placement_offset = 2;
		// IPv4, UDP, transport checksum computed.
		cqe->pars_flags.flags = 1 | 2 << 2 | 1 << 6;
		cqe->rss_hash = completion * 0x9e3779b1u;
	}
	__atomic_thread_fence(__ATOMIC_RELEASE);
	words.rx_index = completion;
}

static void device_transmits(void)
{
	union eth_tx_bd_types *ring = tx->tx_pbl.p_virt_addr;
	uint16_t producer = words.doorbell >> 16;
	for (; descriptor != producer; descriptor++) {
		struct eth_tx_1st_bd *bd = &ring[descriptor & (tx->tx_pbl.size - 1)].first_bd;
		wrong += bd->nbytes != FRAME || bd->data.nbds != 1 || !(bd->addr.hi | bd->addr.lo);
	}
	__atomic_thread_fence(__ATOMIC_RELEASE);
	words.tx_index = producer;
}

// ---- the passes ----

typedef uint16_t burst_function(void *, struct rte_mbuf **, uint16_t);

enum mode { RX, TX, FWD, RXF };
static const char *const names[] = { "rx", "tx", "fwd", "rx+free" };

struct plan {
	enum mode mode;
	unsigned burst;
	burst_function *receive, *transmit;
};

// What is inside the clock, and what callgrind counts.
static __attribute__((noinline)) unsigned measured_pass(const struct plan *plan, struct rte_mbuf **packets)
{
	unsigned done = 0, count;
	while (done < BATCH) {
		// The last burst may be short.
		unsigned wanted = RTE_MIN(plan->burst, BATCH - done);
		switch (plan->mode) {
		case RX:
			count = plan->receive(rx, packets + done, wanted);
			break;
		case TX:
			count = plan->transmit(tx, packets + done, wanted);
			break;
		case FWD:
			count = plan->receive(rx, packets, wanted);
			if (plan->transmit(tx, packets, count) != count)
				return done;
			break;
		default:
			count = plan->receive(rx, packets, wanted);
			rte_pktmbuf_free_bulk(packets, count);
		}
		if (!count)
			break;
		done += count;
	}
	return done;
}

static inline uint64_t before(void)
{
	_mm_lfence();
	uint64_t now = __rdtsc();
	_mm_lfence();
	return now;
}

static inline uint64_t after(void)
{
	unsigned core;
	uint64_t now = __rdtscp(&core);
	_mm_lfence();
	return now;
}

static uint64_t bracket(const struct plan *plan)
{
	struct rte_mbuf *packets[BATCH];
	if (plan->mode == TX) {
		if (rte_pktmbuf_alloc_bulk(pool, packets, BATCH))
			fail("the pool is empty");
		for (unsigned i = 0; i < BATCH; i++)
			packets[i]->pkt_len = packets[i]->data_len = FRAME;
	}
	device_transmits();
	if (plan->mode != TX)
		device_receives(BATCH);
	uint64_t start = before();
	unsigned done = measured_pass(plan, packets);
	uint64_t counts = after() - start;
	if (done != BATCH)
		fail("a pass stopped");
	if (plan->mode == RX) {
		for (unsigned i = 0; i < BATCH; i++)
			wrong += packets[i]->pkt_len != FRAME;
		rte_pktmbuf_free_bulk(packets, BATCH);
	}
	return counts;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	int used = rte_eal_init(argc, argv);
	if (used < 0)
		return 1;
	argc -= used;
	argv += used;
	if (argc < 6)
		fail("usage: qede [EAL options] -- MODE BURST RING REPETITIONS VARIANT [passes]");
	cpu_set_t first;
	CPU_ZERO(&first);
	CPU_SET(0, &first);
	sched_setaffinity(0, sizeof(first), &first);

	struct plan plan = { .burst = atoi(argv[2]) };
	const char *const short_names[] = { "rx", "tx", "fwd", "rxf" };
	while (strcmp(argv[1], short_names[plan.mode]))
		if (++plan.mode > RXF)
			fail("no such mode");
	unsigned ring = atoi(argv[3]), repetitions = atoi(argv[4]);
	bool full = !strcmp(argv[5], "full");
	plan.receive = full ? qede_recv_pkts : qede_recv_pkts_regular;
	plan.transmit = full ? qede_xmit_pkts : qede_xmit_pkts_regular;
	pool = rte_pktmbuf_pool_create("packets", 4 * ring + 4095, 256, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	if (!pool)
		fail("no pool");
	open_queues(ring);

	if (argc > 6) {
		for (int pass = atoi(argv[6]); pass; pass--)
			bracket(&plan);
		return wrong != 0;
	}
	uint64_t empty = UINT64_MAX;
	for (int i = 0; i < 2000; i++) {
		uint64_t start = before(), counts = after() - start;
		empty = RTE_MIN(empty, counts);
	}
	double *medians = calloc(repetitions + WARM, sizeof(*medians));
	for (unsigned repetition = 0; repetition < repetitions + WARM; repetition++) {
		double counts[BRACKETS];
		for (unsigned i = 0; i < BRACKETS; i++)
			counts[i] = (double)(bracket(&plan) - empty) / BATCH;
		qsort(counts, BRACKETS, sizeof(*counts), ascending);
		medians[repetition] = counts[BRACKETS / 2];
	}
	medians += WARM;
	qsort(medians, repetitions, sizeof(*medians), ascending);
	printf("dpdk-qede,%s,hot,%s,%u,%u,%.2f,%.2f,%.2f\n", full ? "full" : "regular", names[plan.mode], ring, plan.burst,
	       medians[0], medians[repetitions / 2], medians[repetitions - 1]);
	if (wrong)
		fail("the device saw descriptors or packets that are wrong");
	return 0;
}
