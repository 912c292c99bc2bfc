# The conformance suite's cases, run on fastlinq.ko, and some of its own. Sourced behind the others: what is defined here wins.

DRIVER=/sys/bus/pci/drivers/fastlinq

load() { [ -d /sys/module/fastlinq ] || insmod /modules/fastlinq.ko; }
unload() { rmmod fastlinq; }
nics() {
  for link in $DRIVER/0*; do
    [ -d "$link/net" ] && ls "$link/net"
  done
  true
}
received_by_queues() { counter "$1" '[0-9]+: received'; }
sent_by_queues() { counter "$1" '[0-9]+: sent'; }

# Which driver it is, what it says of the adapter, and what of the module is in the kernel.
case_identity() {
  ready
  expect '^driver: fastlinq' ethtool -i "$NIC"
  expect '^firmware-version: mfw [0-9]+[.][0-9.]+ storm 8[.]59[.]1[.]' ethtool -i "$NIC"
  expect 'Speed: 25000Mb/s' ethtool "$NIC"
  expect 'Link detected: yes' ethtool "$NIC"
  echo "@measure module-bytes $(awk '$1 == "fastlinq" {print $2}' /proc/modules)"
}

# As many queue pairs as processors; every one of them receives and sends.
case_queues() {
  ready
  wanted=$(nproc)
  expect "Combined:[[:space:]]+$wanted" ethtool -l "$NIC"
  traffic udp 10.0.0.2 400 200 32 >/dev/null
  for direction in received sent; do
    used=$(queue_counter "$NIC" $direction | awk '$1 > 0' | wc -l)
    echo "@measure queues-that-$direction $used of $wanted"
    [ "$used" -ge 2 ] || fail "$used queues have $direction"
  done
  [ "$(queue_counter "$NIC" received | wc -l)" -eq "$wanted" ] || fail 'not a counter for each queue'
  # Fewer, and all again.
  for count in 1 "$wanted"; do
    ethtool -L "$NIC" combined "$count"
    ready
    reachable
    expect "Combined:[[:space:]]+$count" sh -c "ethtool -l $NIC | tail -4"
  done
}

# What both counters say of known traffic.
case_counters() {
  ready
  queues=$(received_by_queues "$NIC")
  link=$(cat "/sys/class/net/$NIC/statistics/rx_packets")
  device=$(counter "$NIC" received_unicast)
  ping -c 20 -i 0.05 -W 5 10.0.0.2 | grep -q ' 0% packet loss'
  [ $(($(received_by_queues "$NIC") - queues)) -ge 20 ] || fail 'not counted by the queues'
  [ $(($(cat "/sys/class/net/$NIC/statistics/rx_packets") - link)) -ge 20 ] || fail 'not counted by the interface'
  [ $(($(counter "$NIC" received_unicast) - device)) -ge 20 ] || fail 'not counted by the device'
  for name in rx_errors rx_dropped tx_errors; do
    [ "$(cat "/sys/class/net/$NIC/statistics/$name")" = 0 ] || fail "$name"
  done
  echo "@measure tx-dropped $(cat "/sys/class/net/$NIC/statistics/tx_dropped")"
  [ "$(counter "$NIC" '[0-9]+: refused')" = 0 ] || fail 'a frame broke a rule of the chip'
  [ "$(counter "$NIC" troubles)" = 0 ] || fail 'troubles'
  used=$(counter "$NIC" control_stack_used)
  echo "@measure control-stack-bytes $used"
  [ "$used" -le 196608 ] || fail "the control stack is too small: $used bytes of 262144"
}

case_tcp() {
  ready
  for service in send receive; do
    rate=$(traffic tcp-$service 10.0.0.2 4000000)
    echo "@measure tcp-$service $rate"
  done
  traffic tcp-echo 10.0.0.2 1000000
  traffic tcp-echo fd00::2 300000
}

# Streams as segments of the device's, without, and without scatter-gather and checksums; every byte arrives each time.
case_tso() {
  ready
  for peer in 10.0.0.2 fd00::2; do
    frames=$(counter "$NIC" sent_unicast)
    packets=$(sent_by_queues "$NIC")
    traffic tcp-send $peer 2000000
    frames=$(($(counter "$NIC" sent_unicast) - frames))
    packets=$(($(sent_by_queues "$NIC") - packets))
    echo "@measure tso-$peer $packets packets of the stack, $frames frames of the device"
    [ "$packets" -gt 0 ] || fail 'the driver counts no packets'
    [ "$frames" -gt $((packets * 2)) ] || fail 'the device did not segment'
  done
  for feature in tso sg tx; do
    ethtool -K "$NIC" $feature off
    traffic tcp-echo 10.0.0.2 300000
  done
  traffic tcp-echo fd00::2 300000
  for feature in tx sg tso; do ethtool -K "$NIC" $feature on; done
  expect '^scatter-gather: on' ethtool -k "$NIC"
  expect '^tcp-segmentation-offload: on' ethtool -k "$NIC"
  traffic tcp-echo 10.0.0.2 300000
  [ "$(counter "$NIC" '[0-9]+: refused')" = 0 ] || fail 'a frame broke a rule of the chip'
}

# A VLAN interface: tags inserted by the device and by the kernel, with and without segmentation.
case_vlan() {
  for module in llc stp garp mrp 8021q; do
    [ ! -f /modules/$module.ko ] || [ -d /sys/module/$module ] || insmod /modules/$module.ko
  done
  log_may_say '^8021q: '
  log_may_say '^IPv6: ADDRCONF.NETDEV_CHANGE.: tagged: link becomes ready'
  ready
  ip link add link "$NIC" name tagged type vlan id 5
  ip link set tagged up
  ip addr add 10.5.0.1/24 dev tagged
  for state in on off; do
    ethtool -K "$NIC" tx-vlan-offload $state
    expect "^tx-vlan-offload: $state" ethtool -k "$NIC"
    vlan_traffic
  done
  ethtool -K "$NIC" tx-vlan-offload on
  expect '^tcp-segmentation-offload: on' ethtool -k tagged
  frames=$(counter "$NIC" sent_unicast)
  packets=$(sent_by_queues "$NIC")
  traffic tcp-send 10.5.0.2 2000000
  frames=$(($(counter "$NIC" sent_unicast) - frames))
  packets=$(($(sent_by_queues "$NIC") - packets))
  echo "@measure tso-with-tags $packets packets of the stack, $frames frames of the device"
  [ "$frames" -gt $((packets * 2)) ] || fail 'the device did not segment'
  ip link del tagged
  [ "$(counter "$NIC" '[0-9]+: refused')" = 0 ] || fail 'a frame broke a rule of the chip'
}

# Ring sizes and coalescing change while the interface is up, stay over down and up, and are refused beyond the bounds.
case_settings() {
  ready
  expect 'TX:[[:space:]]+256' ethtool -g "$NIC"
  # A burst of the responder's fits into 256 descriptors, and not always into 128.
  ethtool -G "$NIC" rx 256 tx 128
  ready
  expect 'RX:[[:space:]]+256' ethtool -g "$NIC"
  expect 'TX:[[:space:]]+128' ethtool -g "$NIC"
  traffic udp 10.0.0.2 500 1472 16 >/dev/null
  traffic tcp-echo 10.0.0.2 500000
  for wrong in 'rx 64' 'tx 16' 'tx 300'; do
    # shellcheck disable=SC2086
    if ethtool -G "$NIC" $wrong 2>/dev/null; then fail "ring: $wrong"; fi
  done
  ethtool -G "$NIC" rx 512 tx 256
  ethtool -C "$NIC" rx-usecs 100 tx-usecs 301
  if ethtool -C "$NIC" rx-usecs 512 2>/dev/null; then fail 'coalescing beyond the timer'; fi
  for round in 1 2; do
    ready
    # The device counts in steps of 4 here.
    expect 'rx-usecs:[[:space:]]+100' ethtool -c "$NIC"
    expect 'tx-usecs:[[:space:]]+300' ethtool -c "$NIC"
    reachable
    ip link set "$NIC" down
    expect 'tx-usecs:[[:space:]]+301' ethtool -c "$NIC"
    ip link set "$NIC" up
  done
  ethtool -C "$NIC" rx-usecs 24 tx-usecs 48
  ready
}

# Bytes on their way are counted queue by queue, and none stays counted.
case_bql() {
  ready
  [ -d "/sys/class/net/$NIC/queues/tx-0/byte_queue_limits" ] || not_applicable 'this kernel has no BQL'
  traffic udp 10.0.0.2 1000 1472 64 >/dev/null
  traffic tcp-send 10.0.0.2 3000000
  usleep 500000
  learnt=0
  for queue in "/sys/class/net/$NIC/queues"/tx-*; do
    [ "$(cat "$queue/byte_queue_limits/inflight")" = 0 ] || fail "$queue: $(cat "$queue/byte_queue_limits/inflight") bytes stay"
    learnt=$((learnt + $(cat "$queue/byte_queue_limits/limit")))
  done
  echo "@measure bql-limits $learnt"
  [ "$learnt" -gt 0 ] || fail 'the limits were not learnt'
}

# Transmission stops and goes on when the ring is full: more datagrams at once than it has descriptors.
case_pressure() {
  ready
  traffic udp 10.0.0.2 4000 1472 64 >/dev/null
  echo "@measure transmit-ring-full $(counter "$NIC" '[0-9]+: full')"
  [ "$(cat "/sys/class/net/$NIC/statistics/tx_dropped")" = 0 ] || fail 'frames were dropped'
  reachable
}

case_mtu() {
  ready
  ip link set "$NIC" mtu 9000
  ready
  ping -c 3 -W 5 -s 8972 10.0.0.2 | grep -q ' 0% packet loss'
  traffic udp 10.0.0.2 100 8972 4
  traffic tcp-echo 10.0.0.2 1000000
  [ "$(counter "$NIC" '[0-9]+: received_scattered')" -gt 0 ] || fail 'no frame was in several buffers'
  ip link set "$NIC" mtu 1500
  ready
  reachable
}

# Addresses and modes: another address, promiscuous, multicast.
case_filters() {
  ready
  before=$(cat "/sys/class/net/$NIC/address")
  ip link set "$NIC" address 02:11:22:33:44:55
  usleep 300000
  ip neigh flush dev "$NIC"
  reachable
  ip link set "$NIC" address "$before"
  ip link set "$NIC" promisc on
  ip link set "$NIC" allmulticast on
  usleep 300000
  reachable
  ip link set "$NIC" promisc off
  ip link set "$NIC" allmulticast off
  usleep 300000
  log_may_say "^fastlinq [0-9a-f:.]+ $NIC: (entered|left) (promiscuous|allmulticast) mode"
  reachable
  reachable fd00::2
}

case_link() {
  ready
  for round in 1 2 3; do
    tell link 0 down
    until_true 10 no_carrier "$NIC" || fail 'the carrier stays'
    tell link 0 up
    until_true 10 has_carrier "$NIC" || fail 'no carrier'
  done
  ready
  reachable
}

case_reload() {
  count=0
  while [ $count -lt 10 ]; do
    [ ! -d /sys/module/fastlinq ] || unload || fail "rmmod at round $count"
    ready
    reachable
    count=$((count + 1))
  done
  unload
  load
}

case_down_up() {
  ready
  count=0
  while [ $count -lt 10 ]; do
    ip link set "$NIC" down
    ip link set "$NIC" up
    until_true 30 has_carrier "$NIC" || fail "no carrier at round $count"
    count=$((count + 1))
  done
  ready
  reachable
}

# The function is reset below the driver, while it works.
case_flr() {
  ready
  device=/sys/bus/pci/devices/$(address_of "$NIC")
  grep -q flr "$device/reset_method"
  echo flr >"$device/reset_method"
  traffic udp 10.0.0.2 100000 64 4 >/dev/null 2>&1 &
  usleep 500000
  echo 1 >"$device/reset"
  kill $! 2>/dev/null || true
  wait $! 2>/dev/null || true
  ready
  reachable
}

# within SECONDS COMMAND...: the command ends in that time, however.
within() {
  limit=$1
  shift
  begun_within=$(now)
  "$@" || true
  took=$(since "$begun_within")
  echo "@measure $1-${2:-}-seconds $took"
  echo "$took" "$limit" | awk '$1 > $2 {exit 1}' || fail "$*: $took s"
}

# The device vanishes while frames go both ways: nothing hangs, and the module can be unloaded.
case_gone() {
  ready
  log_may_say '^fastlinq: '
  log_may_say "^fastlinq [0-9a-f:.]+ $NIC: the adapter (is gone|did not go down in order: -[0-9]+)"
  log_may_say "^fastlinq [0-9a-f:.]+ $NIC: (reset|queue [0-9]+ does not send|the adapter does not come up: -[0-9]+)"
  traffic udp 10.0.0.2 100000 64 4 >/dev/null 2>&1 &
  usleep 500000
  tell unplug
  until_true 20 sh -c 'dmesg | grep -q "the adapter is gone"' || fail 'nobody noticed'
  until_true 5 no_carrier "$NIC" || fail 'the carrier stays'
  kill $! 2>/dev/null || true
  wait $! 2>/dev/null || true
  ethtool -S "$NIC" >/dev/null
  within 30 ip link set "$NIC" down
  within 30 ip link set "$NIC" up
  within 30 rmmod fastlinq
  [ ! -d /sys/module/fastlinq ] || fail 'the module stays'
}

# Management firmware that is silent, absent, stops after LOAD_REQ, refuses the load: four adapters in one guest.
case_faults() {
  log_may_say '^fastlinq: '
  log_may_say '^fastlinq [0-9a-f:.]+: probe with driver fastlinq failed with error -[0-9]+'
  log_may_say '^fastlinq [0-9a-f:.]+ eth[0-9]: the adapter does not come up: -[0-9]+'
  within 60 insmod /modules/fastlinq.ko
  [ "$(nics | wc -l)" = 2 ] || fail "$(nics | wc -l) interfaces, not 2"
  for nic in $(nics); do
    within 60 ip link set "$nic" up
    if ip link show "$nic" | grep -q 'UP'; then fail 'it is up'; fi
  done
  within 60 rmmod fastlinq
  [ ! -d /sys/module/fastlinq ] || fail 'the module stays'
}

# Management firmware that hangs while the adapter is up: frames go on, every control call ends, and a function reset brings
# the adapter back.
case_silent() {
  ready
  log_may_say '^fastlinq: '
  log_may_say "^fastlinq [0-9a-f:.]+ $NIC: the adapter (did not go down in order|does not come up): -[0-9]+"
  device=/sys/bus/pci/devices/$(address_of "$NIC")
  traffic udp 10.0.0.2 100000 64 4 >/dev/null 2>&1 &
  usleep 500000
  tell silent
  usleep 3000000
  reachable
  within 30 ethtool -S "$NIC" >/dev/null
  kill $! 2>/dev/null || true
  wait $! 2>/dev/null || true
  traffic udp 10.0.0.2 200 200 4
  within 60 ip link set "$NIC" down
  within 60 ip link set "$NIC" up
  if ip link show "$NIC" | grep -q 'UP'; then fail 'it is up'; fi
  within 60 rmmod fastlinq
  [ ! -d /sys/module/fastlinq ] || fail 'the module stays'
  echo flr >"$device/reset_method"
  echo 1 >"$device/reset"
  ready
  reachable
}

# What KFENCE has watched since the boot.
case_kfence() {
  [ -d /sys/module/kfence ] || not_applicable 'this kernel has no KFENCE'
  [ "$(cat /sys/module/kfence/parameters/sample_interval)" = 1 ] || fail 'KFENCE is off'
  mount -t debugfs debug /sys/kernel/debug 2>/dev/null || true
  number() { awk -F: -v name="$1" '$1 == name {print $2 + 0}' /sys/kernel/debug/kfence/stats; }
  echo "@measure kfence-allocations $(number 'total allocations')"
  [ "$(number 'total allocations')" -ge 100 ] || fail 'it has watched nothing'
  [ "$(number 'total bugs')" = 0 ] || fail 'it has found something'
}
