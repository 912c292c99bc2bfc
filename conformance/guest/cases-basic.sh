# Probe, link, ping, datagrams, streams.

case_probe() {
  begun=$(now)
  load
  until_true 60 test -n "$(nic)" || fail 'no interface'
  NIC=$(nic)
  echo "probed in $(since "$begun") s: $NIC"
  ip link set "$NIC" up
  until_true 30 has_carrier "$NIC" || fail 'no carrier'
  took=$(since "$begun")
  echo "@measure probe-to-link-up-seconds $took"
  echo "$took" | awk '$1 > 30 {exit 1}' || fail "probe to link-up took $took s; the bar is 30 s"
}

case_ping() {
  ready
  for size in 1 56 500 1472; do
    ping -c 5 -i 0.1 -W 5 -s $size 10.0.0.2 | tail -3
    ping -c 5 -i 0.1 -W 5 -s $size 10.0.0.2 | grep -q ' 0% packet loss'
  done
  ping -6 -c 5 -i 0.1 -W 5 -s 1400 fd00::2 | tail -3
  ping -6 -c 5 -i 0.1 -W 5 fd00::2 | grep -q ' 0% packet loss'
}

case_udp() {
  ready
  traffic udp 10.0.0.2 500 1472 1
  traffic udp fd00::2 500 1452 4
  # The limit is the emulated processor, and a message to the adapter for every doorbell and interrupt.
  rate=$(traffic udp 10.0.0.2 4000 64 4)
  echo "@measure udp-echo $rate"
}

case_tcp() {
  ready
  for service in send receive; do
    rate=$(traffic tcp-$service 10.0.0.2 20000000)
    echo "@measure tcp-$service $rate"
  done
  traffic tcp-echo 10.0.0.2 2000000
  traffic tcp-send fd00::2 2000000
  traffic tcp-receive fd00::2 2000000
  traffic tcp-echo fd00::2 1000000
}

# Longer than any ring index: descriptors, completions and producers wrap.
case_wrap() {
  ready
  before=$(counter "$NIC" rx_ucast_pkts)
  traffic udp 10.0.0.2 70000 64 16
  after=$(counter "$NIC" rx_ucast_pkts)
  [ $((after - before)) -ge 70000 ] || fail "$((after - before)) packets counted"
}

case_mtu() {
  ready
  ip link set "$NIC" mtu 9000
  until_true 30 has_carrier "$NIC" || fail 'no carrier after the change'
  ready
  ping -c 3 -W 5 -s 8972 10.0.0.2 | grep -q ' 0% packet loss'
  traffic udp 10.0.0.2 200 8972 4
  traffic udp fd00::2 200 8952 4
  traffic tcp-echo 10.0.0.2 4000000
  ip link set "$NIC" mtu 1500
  until_true 30 has_carrier "$NIC" || fail 'no carrier after the change back'
  ready
  reachable
}

case_down_up() {
  ready
  count=0
  while [ $count -lt 20 ]; do
    ip link set "$NIC" down
    ip link set "$NIC" up
    until_true 30 has_carrier "$NIC" || fail "no carrier at round $count"
    count=$((count + 1))
  done
  ready
  reachable
}

case_reload() {
  count=0
  while [ $count -lt 20 ]; do
    [ ! -d /sys/module/qede ] || unload || fail "rmmod at round $count"
    ready
    reachable
    count=$((count + 1))
  done
}

case_flr() {
  ready
  address=$(address_of "$NIC")
  echo "$address" >/sys/bus/pci/drivers/qede/unbind
  grep -q flr "/sys/bus/pci/devices/$address/reset_method"
  echo flr >"/sys/bus/pci/devices/$address/reset_method"
  echo 1 >"/sys/bus/pci/devices/$address/reset"
  echo "$address" >/sys/bus/pci/drivers/qede/bind
  ready
  reachable
}

# The cable is pulled and plugged at the adapter.
case_link() {
  ready
  for round in 1 2 3; do
    tell link 0 down
    until_true 10 no_carrier "$NIC" || fail 'the carrier stays'
    tell link 0 up
    until_true 10 has_carrier "$NIC" || fail 'no carrier'
  done
  reachable
  [ "$(counter "$NIC" link_change_count)" -ge 6 ] || fail 'link changes not counted'
}

# What the adapter noticed of the driver, and how long it took for an access; the bar is 10 us.
case_adapter() {
  tell violations
  tell counters
  tell timing
  echo "$answer" | sed -n 's/.*mean-us \([0-9.]*\).*/\1/p' | awk '$1 <= 10 {good = 1} END {exit !good}' || fail 'accesses take too long'
}
