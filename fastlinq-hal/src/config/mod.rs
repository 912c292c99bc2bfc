//! What the driver computes before it programs the chip: contexts, queues, interrupts.
