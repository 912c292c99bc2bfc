# Queues, checksums, segmentation, VLANs, aggregation, filters.

QUEUES=4

case_rss() {
  ready
  ethtool -N "$NIC" rx-flow-hash udp4 sdfn
  ethtool -N "$NIC" rx-flow-hash udp6 sdfn
  for count in $QUEUES 8; do
    set_queues "$NIC" $count
    queue_counter "$NIC" rcv_pkts >/tmp/before
    traffic udp 10.0.0.2 2000 200 128
    traffic udp fd00::2 2000 200 128
    queue_counter "$NIC" rcv_pkts >/tmp/after
    echo "packets of the queues: $(paste /tmp/before /tmp/after | awk '{printf "%d ", $2 - $1}')"
    # Each queue gets at least a quarter of its share.
    paste /tmp/before /tmp/after | awk -v q=$count '$2 - $1 < 1000 / q {bad = 1} END {exit bad}' || fail 'a queue is left out'
  done
  # The indirection table sends everything to one queue.
  ethtool -X "$NIC" equal 1
  queue_counter "$NIC" rcv_pkts >/tmp/before
  traffic udp 10.0.0.2 500 200 64
  queue_counter "$NIC" rcv_pkts >/tmp/after
  paste /tmp/before /tmp/after | awk 'NR > 1 && $2 - $1 > 20 {bad = 1} END {exit bad}' || fail 'the table is not obeyed'
  expect 'RSS hash key' ethtool -x "$NIC"
  ethtool -X "$NIC" default
  set_queues "$NIC" $QUEUES
}

case_checksum() {
  ready
  for state in off on; do
    ethtool -K "$NIC" tx $state
    expect "^tx-checksumming: $state" ethtool -k "$NIC"
    traffic udp 10.0.0.2 100 1472 2
    traffic udp fd00::2 100 1452 2
    traffic tcp-echo 10.0.0.2 300000
    traffic tcp-echo fd00::2 300000
  done
  errors=$(awk '/^Tcp:/ {errors = $NF} END {print errors}' /proc/net/snmp)
  [ "$errors" = 0 ] || fail "$errors TCP segments with wrong checksums arrived"
}

case_tso() {
  ready
  ethtool -K "$NIC" tso on
  for peer in 10.0.0.2 fd00::2; do
    frames=$(counter "$NIC" tx_ucast_pkts)
    packets=$(sent_by_queues "$NIC")
    traffic tcp-send $peer 6000000
    frames=$(($(counter "$NIC" tx_ucast_pkts) - frames))
    packets=$(($(sent_by_queues "$NIC") - packets))
    [ "$packets" -gt 0 ] || fail 'the driver counts no packets'
    echo "$peer: $packets packets of the stack, $frames frames on the wire"
    [ "$frames" -gt $((packets * 2)) ] || fail 'the adapter did not segment'
  done
  ethtool -K "$NIC" tso off
  traffic tcp-send 10.0.0.2 1000000
  ethtool -K "$NIC" tso on
}

PAYLOAD=88b5000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d

vlan_traffic() {
  ping -c 3 -i 0.2 -W 5 10.5.0.2 >/tmp/ping || fail 'no answer on the VLAN'
  traffic udp 10.5.0.2 100 1472 4
  traffic tcp-echo 10.5.0.2 500000
  traffic tcp-send 10.5.0.2 1000000
}

case_vlan() {
  for module in llc stp garp mrp 8021q; do
    [ ! -f /modules/$module.ko ] || [ -d /sys/module/$module ] || insmod /modules/$module.ko
  done
  log_may_say '^8021q: '
  ready
  ip link add link "$NIC" name tagged type vlan id 5
  ip link set tagged up
  ip addr add 10.5.0.1/24 dev tagged
  # Insertion and stripping cannot be switched off with this driver.
  vlan_traffic
  ping -6 -c 1 -W 5 fd00::2 >/dev/null || fail 'untagged traffic suffers'
  # A VLAN that was not asked for is filtered by the adapter: 20 broadcasts on VLAN 6.
  before=$(counter "$NIC" rx_bcast_pkts)
  tell inject 0 20 ffffffffffff02000000000281000006$PAYLOAD
  tell inject 0 20 ffffffffffff02000000000281000005$PAYLOAD
  sleep 1
  more=$(($(counter "$NIC" rx_bcast_pkts) - before))
  [ $more -ge 20 ] && [ $more -lt 40 ] || fail "$more broadcasts arrived"
  ip link del tagged
  reachable
}

case_gro() {
  ready
  ethtool -K "$NIC" rx-gro-hw on
  ready
  coalesced=$(counter "$NIC" coalesced_pkts)
  traffic tcp-receive 10.0.0.2 4000000
  traffic tcp-receive fd00::2 4000000
  coalesced=$(($(counter "$NIC" coalesced_pkts) - coalesced))
  echo "$coalesced packets coalesced"
  [ "$coalesced" -gt 0 ] || fail 'nothing was aggregated'
  ethtool -K "$NIC" rx-gro-hw off
  ready
  coalesced=$(counter "$NIC" coalesced_pkts)
  traffic tcp-receive 10.0.0.2 1000000
  [ "$(counter "$NIC" coalesced_pkts)" -eq "$coalesced" ] || fail 'aggregation is off and happens'
  ethtool -K "$NIC" rx-gro-hw on
  ready
}

case_multicast() {
  ready
  ip route replace 224.0.0.0/4 dev "$NIC"
  traffic multicast 10.0.0.1 10.0.0.2 239.1.2.3
  # More groups than the driver filters by bins.
  count=0
  while [ $count -lt 70 ]; do
    ip maddr add "33:33:00:00:01:$(printf %02x $count)" dev "$NIC"
    count=$((count + 1))
  done
  traffic multicast 10.0.0.1 10.0.0.2 239.1.2.4
  count=0
  while [ $count -lt 70 ]; do
    ip maddr del "33:33:00:00:01:$(printf %02x $count)" dev "$NIC"
    count=$((count + 1))
  done
}

# frames_for_others: 20 frames to a MAC address that is nobody's.
frames_for_others() {
  tell inject 0 20 02aabbccddee020000000002$PAYLOAD
}

case_promiscuous() {
  ready
  before=$(counter "$NIC" rx_ucast_pkts)
  filtered=$(counter "$NIC" mac_filter_discards)
  frames_for_others
  sleep 1
  [ $(($(counter "$NIC" rx_ucast_pkts) - before)) -lt 20 ] || fail 'frames for others arrive'
  [ $(($(counter "$NIC" mac_filter_discards) - filtered)) -ge 20 ] || fail 'filtered frames are not counted'
  log_may_say "$NIC: (entered|left) promiscuous mode"
  log_may_say "device $NIC (entered|left) promiscuous mode"
  log_may_say "entered promiscuous mode|left promiscuous mode"
  ip link set "$NIC" promisc on
  before=$(counter "$NIC" rx_ucast_pkts)
  frames_for_others
  sleep 1
  [ $(($(counter "$NIC" rx_ucast_pkts) - before)) -ge 20 ] || fail 'frames for others do not arrive'
  ip link set "$NIC" promisc off
  reachable
}

# A second MAC address, and a new one.
case_mac() {
  ready
  old=$(cat "/sys/class/net/$NIC/address")
  ip link set "$NIC" down
  ip link set "$NIC" address 02:0e:1e:44:55:66
  ip link set "$NIC" up
  until_true 30 has_carrier "$NIC" || fail 'no carrier'
  ready
  reachable
  ip link set "$NIC" down
  ip link set "$NIC" address "$old"
  ip link set "$NIC" up
  until_true 30 has_carrier "$NIC" || fail 'no carrier'
  ready
  reachable
}
