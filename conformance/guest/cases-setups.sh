# Two ports, a vIOMMU, and management firmwares that deviate.

second() { nics | sed -n 2p; }

# Two ports with a cable between them, each in a network of its own.
case_two_ports() {
  load
  until_true 60 test -n "$(second)" || fail 'no second interface'
  number=1
  for name in $(nics); do
    ip netns add side$number
    ip link set "$name" netns side$number
    ip -n side$number link set lo up
    ip -n side$number link set "$name" up
    ip -n side$number addr add "10.9.0.$number/24" dev "$name"
    number=$((number + 1))
  done
  [ "$(ip netns exec side1 ls /sys/class/net >/dev/null; echo ok)" = ok ]
  until_true 30 ip netns exec side1 ping -c 1 -W 1 10.9.0.2 >/dev/null || fail 'the ports do not reach each other'
  ip netns exec side1 ping -c 5 -i 0.1 -s 1400 10.9.0.2 | grep -q ' 0% packet loss'
}

case_iperf() {
  ip netns exec side2 iperf3 --server --daemon --pidfile /tmp/iperf.pid
  sleep 1
  for direction in '' --reverse; do
    ip netns exec side1 timeout 120 iperf3 --client 10.9.0.2 --time 5 --format m $direction >/tmp/iperf || {
      cat /tmp/iperf
      fail "iperf3 $direction"
    }
    grep -E 'sender|receiver' /tmp/iperf
    echo "@measure iperf3-mbit-per-second${direction} $(awk '/receiver/ {print $(NF - 2)}' /tmp/iperf)"
  done
  ip netns exec side1 timeout 120 iperf3 --client 10.9.0.2 --udp --bitrate 10M --time 3 --format m >/tmp/iperf
  grep -E 'sender|receiver' /tmp/iperf
  kill "$(tr -d '\0' </tmp/iperf.pid)"
}

case_iommu() {
  dmesg | grep -q 'DMAR: IOMMU enabled\|Intel(R) Virtualization Technology for Directed I/O' || fail 'no IOMMU'
  ready
  [ -e "/sys/class/net/$NIC/device/iommu_group" ] || fail 'the adapter is in no IOMMU group'
  reachable
}

# The adapters of this boot play, by their PCI addresses, the personas that conformance/run gave them.
persona_address() { adapters | sed -n "${1}p"; }
bound() { [ -d "/sys/bus/pci/drivers/qede/$1" ]; }

case_personas() {
  log_may_say '^\[qed_mcp_nvm_info_populate:[0-9]+\(\)\]Failed getting number of images$'
  log_may_say '^\[qed_hw_prepare_single:[0-9]+\(\)\]Failed to populate nvm info shadow$'
  log_may_say '^\[qed_probe:[0-9]+\(\)\]hw prepare failed$'
  log_may_say 'DRV_MSG_CODE_BIST_TEST is not supported'
  load
  [ "$(adapters | wc -l)" -eq 4 ] || fail 'not four adapters'
  until_true 90 test "$(nics | wc -l)" -ge 3
  dmesg | grep -E 'qed|qede'
  bound "$(persona_address 1)" || fail 'bist-unsupported does not probe'
  bound "$(persona_address 2)" || fail 'bist-unsupported-nonzero does not probe'
  bound "$(persona_address 3)" || fail 'zero-images does not probe'
  ! bound "$(persona_address 4)" || fail 'bist-error probes'
  [ "$(dmesg | grep -c 'Failed getting number of images')" -eq 2 ] || fail 'zero-images and bist-error must say so'
  [ "$(dmesg | grep -c 'Failed to populate nvm info shadow')" -eq 1 ]
  [ "$(dmesg | grep -c 'hw prepare failed')" -eq 1 ]
}

# Each of the three that probed carries traffic.
case_personas_work() {
  log_may_say '^\[qed_'
  for name in $(nics); do
    ip link set "$name" up
    until_true 30 has_carrier "$name" || fail "no carrier on $name"
    ip addr add 10.0.0.1/24 dev "$name"
    reachable
    # Fails where there is no BIST_TEST; that the driver says so and lives is what matters.
    ethtool -t "$name" online >/tmp/selftest 2>&1 || true
    echo "self-test of $name: $(grep -E 'result|nvram' /tmp/selftest | tr '\n' ' ')"
    ip addr flush dev "$name"
    ip link set "$name" down
  done
}

# bist-unsupported-nonzero: the driver counts five NVM images and has no table of them. The first thing that reads an image,
# a register dump, shows what that does to the kernel. The network of this guest is beyond use afterwards.
case_image_table() {
  ready
  reachable
  log_may_say .
  # Beside the case: no signal ends a dump under way in the kernel, be it slow or waiting for a lock that the dead left held.
  rm -f /tmp/dump.code
  (code=0; ethtool -d "$NIC" >/tmp/dump 2>&1 || code=$?; echo $code >/tmp/dump.code) &
  seconds=0
  until [ -s /tmp/dump.code ] || kernel_broke; do
    seconds=$((seconds + 1))
    [ $seconds -lt 180 ] || fail 'the register dump neither ends nor breaks the kernel'
    sleep 1
  done
  sleep 1 # the rest of the report
  dmesg | grep -E 'BUG: |RIP: 0010:qed' | head -3
  echo "the register dump ends with code $(cat /tmp/dump.code 2>/dev/null || echo '- (it does not end)')"
  kernel_broke || not_applicable 'this kernel reads an image without a table and survives'
  dmesg | grep -q 'RIP: 0010:qed_' || fail 'the kernel broke elsewhere than in qed'
}
kernel_broke() { dmesg | grep -q 'BUG: kernel NULL pointer dereference'; }

# The other end of the cable is the host's own network stack.
case_tap_ping() {
  ready
  ping -c 20 -i 0.1 -W 5 -s 733 10.0.0.2 | grep -q ' 0% packet loss' || fail 'pings are lost'
  ping -6 -c 5 -i 0.1 -W 5 -s 1400 fd00::2 | grep -q ' 0% packet loss' || fail 'pings over IPv6 are lost'
}

# udp_arrives PEER [--reverse]: a stream of datagrams of which at most one in twenty is lost.
udp_arrives() {
  timeout 60 iperf3 --client "$1" --udp --length 1200 --bitrate 5M --time 2 --format m $2 >/tmp/iperf || { cat /tmp/iperf; fail "iperf3 --udp $2"; }
  lost=$(sed -nE 's/.*\(([0-9.e+-]+)%\) +receiver.*/\1/p' /tmp/iperf)
  echo "@measure iperf3-udp-lost-percent $1 ${2:---forward} $lost"
  echo "$lost" | awk '$1 <= 5 {good = 1} END {exit !good}' || { cat /tmp/iperf; fail "$lost % of the datagrams are lost"; }
}

case_tap_iperf() {
  ready
  for peer in 10.0.0.2 fd00::2; do
    for direction in '' --reverse; do
      timeout 60 iperf3 --client $peer --time 3 --format m $direction >/tmp/iperf || { cat /tmp/iperf; fail "iperf3 $direction"; }
      grep -E 'sender|receiver' /tmp/iperf
      echo "@measure iperf3-tcp-mbit-per-second $peer ${direction:---forward} $(awk '/receiver/ {print $(NF - 2)}' /tmp/iperf)"
      udp_arrives $peer $direction
    done
  done
}
