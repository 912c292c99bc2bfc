# The cases: DPDK's qede driver, under dpdk-testpmd, on adapters that vfio-pci has, behind an IOMMU; each on both chips. What sends
# only runs with the driver as Debian built it; what receives, with the one that conformance/dpdk/driver built.

K2=0000:00:04.0
BB=0000:00:05.0
BURST=32
RING=512

case_bind() {
  echo 96 >/proc/sys/vm/nr_hugepages
  for address in $K2 $BB; do
    echo vfio-pci >/sys/bus/pci/devices/$address/driver_override
    echo $address >/sys/bus/pci/drivers_probe
    [ "$(basename "$(readlink -f /sys/bus/pci/devices/$address/driver)")" = vfio-pci ] || fail "vfio-pci does not have $address"
  done
}

# testpmd DRIVER ADDRESS COMMANDS ARGUMENT...: COMMANDS are its lines; `sleep N` is ours. What it says is in
# /tmp/said. It must start, stop and close the port, and end by itself.
testpmd() {
  driver=$1 address=$2 commands=$3
  shift 3
  code=0
  echo "$commands" | while read -r line; do
    case $line in
      sleep*) $line ;;
      *) echo "$line" ;;
    esac
  done | timeout 100 dpdk-testpmd -l 0,1 -n 1 --no-telemetry -d "$driver" -d "$(ls /lib/x86_64-linux-gnu/librte_mempool_ring.so.*)" \
    -a "$address" -- -i --total-num-mbufs=8192 --port-topology=loop --rxd=$RING --txd=$RING "$@" >/tmp/testpmd 2>&1 || code=$?
  tr -d '\r' </tmp/testpmd >/tmp/said
  cat /tmp/said
  [ $code = 0 ] || fail "dpdk-testpmd: exit code $code"
  grep -q '^Port 0 is closed$' /tmp/said || fail 'the port was not closed'
  # What the driver logs begins with a bracket.
  ! grep -E '^\[|^EAL: (Error|Cannot|Failed)|PANIC' /tmp/said || fail 'the driver complains'
}
DEBIAN=$(ls /lib/x86_64-linux-gnu/librte_net_qede.so.*)
REBUILT=/rebuilt/librte_net_qede.so
END='port stop 0
port close 0
quit'

# value NAME: an extended statistic, the last time that it was printed.
value() { sed -n "s/^$1: //p" /tmp/said | tail -1; }

# same NAME NAME...: all of them are the same number, which is not 0.
same() {
  first=$(value "$1")
  [ "${first:-0}" -gt 0 ] || fail "$1 is ${first:-missing}"
  for name in "$@"; do [ "$(value "$name")" = "$first" ] || fail "$name is $(value "$name"), $1 is $first"; done
}
none() { for name in "$@"; do [ "$(value "$name")" = 0 ] || fail "$name is $(value "$name"), not 0"; done; }

# Up, stopped, up again, stopped, closed; and once more by another process.
case_start() {
  for address in $K2 $BB $K2; do
    testpmd "$DEBIAN" $address "sleep 1
show port info 0
port stop 0
port start 0
sleep 1
show port info 0
$END"
    [ "$(grep -c '^Link status: up$' /tmp/said)" = 2 ] || fail 'the link is not up twice'
    grep -Eq '^MAC address: 02:0E:1E:11:22:3' /tmp/said || fail 'not the address of the adapter'
  done
}

# Everything that the driver gave away is counted by vport, packet path and MAC.
case_transmit() {
  for address in $K2 $BB; do
    testpmd "$DEBIAN" $address "set fwd txonly
start
sleep 2
stop
sleep 1
show port xstats 0
$END"
    same tx_good_packets tx_q0_packets tx_unicast_packets tx_mac_unicast_packets tx_65_to_127_byte_packets
    [ "$(value tx_unicast_bytes)" = $((64 * $(value tx_good_packets))) ] || fail "$(value tx_unicast_bytes) bytes"
    none tx_errors tx_error_drop_packets
    echo "@measure transmit: $(value tx_good_packets) frames on $address"
  done
}

# Frames that come back are sent again and again; the last ones are in the ring when the forwarding ends.
case_loop() {
  for address in $K2 $BB; do
    testpmd "$REBUILT" $address "set fwd io
start tx_first
sleep 3
stop
sleep 1
show port xstats 0
$END"
    same tx_q0_packets tx_unicast_packets tx_mac_unicast_packets rx_unicast_packets rx_mac_unicast_packets rx_good_packets
    none rx_errors rx_missed_errors rx_host_buffer_not_available rx_mbuf_allocation_errors rx_crc_errors tx_errors
    [ "$(value rx_q0_packets)" -ge $BURST ] || fail 'nothing comes back'
    # What was received went out again, but for the first burst, which nobody received.
    [ $(($(value tx_q0_packets) - $(value rx_q0_packets))) = $BURST ] || fail "$(value rx_q0_packets) received, $(value tx_q0_packets) sent"
    echo "@measure loop: $(value rx_q0_packets) frames on $address"
  done
}

# Four queues each way: the hash of the flows spreads over all, and the queues add up.
case_queues() {
  for address in $K2 $BB; do
    testpmd "$REBUILT" $address "set fwd flowgen
start
sleep 3
stop
sleep 1
show port xstats 0
$END" --rxq=4 --txq=4 --flowgen-flows=256
    same tx_unicast_packets tx_mac_unicast_packets rx_mac_unicast_packets
    received=0
    sent=0
    for queue in 0 1 2 3; do
      [ "$(value rx_q${queue}_packets)" -gt 0 ] || fail "queue $queue received nothing"
      received=$((received + $(value rx_q${queue}_packets)))
      sent=$((sent + $(value tx_q${queue}_packets)))
    done
    [ $sent = "$(value tx_unicast_packets)" ] || fail "the queues sent $sent, the adapter $(value tx_unicast_packets)"
    left=$(($(value rx_unicast_packets) - received))
    # What came when the forwarding had ended is in the rings.
    [ $left -ge 0 ] && [ $left -le $((4 * RING)) ] || fail "$left frames more arrived than the queues had"
    arrived=$(($(value rx_unicast_packets) + $(value rx_host_buffer_not_available)))
    [ $arrived = "$(value rx_mac_unicast_packets)" ] || fail "$arrived of $(value rx_mac_unicast_packets) frames are counted"
    echo "@measure queues: $(for queue in 0 1 2 3; do value rx_q${queue}_packets; done | tr '\n' ' ')frames on $address"
  done
}
