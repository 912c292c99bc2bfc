# Everything that ethtool asks and sets.

case_info() {
  ready
  ethtool -i "$NIC"
  expect '^driver: qede' ethtool -i "$NIC"
  expect '^firmware-version: .*(mfw|storm|mbi) [0-9]' ethtool -i "$NIC"
  expect "^bus-info: $(address_of "$NIC")" ethtool -i "$NIC"
  ethtool "$NIC"
  expect 'Speed: [0-9]+Mb/s' ethtool "$NIC"
  expect 'Link detected: yes' ethtool "$NIC"
}

# Hardware, driver and stack count the same packets.
case_statistics() {
  ready
  reachable
  sleep 2
  rx=$(counter "$NIC" rx_ucast_pkts)
  tx=$(counter "$NIC" tx_ucast_pkts)
  queues_rx=$(received_by_queues "$NIC")
  queues_tx=$(sent_by_queues "$NIC")
  buckets=$(counter "$NIC" 'rx_.*_byte_packets')
  traffic udp 10.0.0.2 1000 1400 4
  rx=$(($(counter "$NIC" rx_ucast_pkts) - rx))
  tx=$(($(counter "$NIC" tx_ucast_pkts) - tx))
  queues_rx=$(($(received_by_queues "$NIC") - queues_rx))
  queues_tx=$(($(sent_by_queues "$NIC") - queues_tx))
  buckets=$(($(counter "$NIC" 'rx_.*_byte_packets') - buckets))
  echo "received: adapter $rx, driver $queues_rx, by size $buckets; sent: adapter $tx, driver $queues_tx"
  for count in $rx $tx $queues_rx $queues_tx $buckets; do
    [ "$count" -ge 1000 ] && [ "$count" -le 1020 ] || fail "$count is not 1000 and a few"
  done
  for name in rx_crc_errors rx_align_errors rx_jabbers rx_undersize_packets rx_fragments tx_err_drop_pkts; do
    [ "$(counter "$NIC" $name)" -eq 0 ] || fail "$name is not 0"
  done
}

case_channels() {
  ready
  ethtool -l "$NIC"
  most=$(ethtool -l "$NIC" | awk '/^Combined/ {print $2; exit}')
  [ "$most" -ge 4 ] || fail "only $most queues"
  for count in 1 "$most" $QUEUES; do
    set_queues "$NIC" "$count"
    reachable
    traffic udp 10.0.0.2 100 1000 8
  done
}

case_rings() {
  ready
  expect 'RX:[[:space:]]+8191' ethtool -g "$NIC"
  for size in 128 1000 8191; do
    ethtool -G "$NIC" rx $size tx $size
    ready
    expect "RX:[[:space:]]+$size" ethtool -g "$NIC"
    traffic udp 10.0.0.2 300 1400 4
  done
  ethtool -G "$NIC" rx 1023 tx 8191
  ready
  reachable
}

# Seven bits and a resolution of 1, 2 or 4 us: 508 is the longest that is read back as it was set.
case_coalescing() {
  ready
  for time in 24 100 508; do
    ethtool -C "$NIC" rx-usecs $time tx-usecs $time
    expect "rx-usecs:[[:space:]]+$time" ethtool -c "$NIC"
    traffic udp 10.0.0.2 50 1000 2
  done
  ethtool -C "$NIC" rx-usecs 24 tx-usecs 48
}

case_features() {
  ready
  ethtool -k "$NIC" | grep -E 'checksum|segmentation|scatter|offload|vlan'
  for feature in tx-checksum-ipv4 tx-checksum-ipv6 scatter-gather tx-tcp-segmentation tx-tcp6-segmentation \
    generic-receive-offload receive-hashing; do
    name=$feature
    ethtool -k "$NIC" | grep -Eq "^[[:space:]]*$name: on" || fail "$name is not on"
  done
  for feature in sg gso gro tso; do
    ethtool -K "$NIC" $feature off
    reachable
    ethtool -K "$NIC" $feature on || true
  done
  reachable
}

case_selftest() {
  ready
  # The driver's test takes any completion for its own packet's, so none may be outstanding.
  sleep 3
  ethtool -t "$NIC" offline >/tmp/selftest || { cat /tmp/selftest; fail 'the self-test fails'; }
  cat /tmp/selftest
  grep -q 'The test result is PASS' /tmp/selftest
  # Every queue still has its interrupts: the first one, too, to which answers of the neighbour come.
  ready
  ip neigh flush dev "$NIC"
  reachable
  traffic udp 10.0.0.2 64 200 32
  ethtool -t "$NIC" online | grep -q 'The test result is PASS'
}

# module_has REGEX...: the module's description has them all.
module_has() {
  ethtool -m "$NIC" >/tmp/module || fail 'no module'
  for text in "$@"; do grep -Eiq -- "$text" /tmp/module || { cat /tmp/module; fail "no '$text' in the description"; }; done
}

case_module() {
  ready
  log_may_say '\]Transceiver is present\.$'
  tell module 0 sfp28
  module_has 'Identifier.*0x03 \(SFP\)' 'Connector.*LC' '25GBase-SR' 'Vendor name' 'Vendor PN.*SFP28' 'Module temperature +: [0-9.]+ degrees' \
    'Laser bias current' 'Alarm/warning flags implemented +: Yes'
  tell module 0 qsfp28
  module_has 'Identifier.*0x11 \(QSFP28\)' '100G Base-SR4' 'Vendor PN.*QSFP28' 'Module temperature +: [0-9.]+ degrees' \
    'Rcvr signal avg optical power ?\(Channel 4\)'
  tell module 0 sfp28-copper
  module_has 'Identifier.*0x03 \(SFP\)' 'Vendor PN.*CR'
  tell module 0 sfp28
}

# The register dump runs the debug firmware's whole program over the adapter.
case_dump() {
  ready
  log_may_say '^\[qed_dbg_'
  ethtool -d "$NIC" >/tmp/dump || fail 'no dump'
  lines=$(wc -l </tmp/dump)
  echo "$lines lines"
  [ "$lines" -gt 100 ]
  rm /tmp/dump
  reachable
}

case_identify() {
  ready
  timeout 10 ethtool -p "$NIC" 2
  reachable
}

case_pause() {
  ready
  expect 'Pause parameters' ethtool -a "$NIC"
  ethtool -A "$NIC" autoneg off rx on tx on || echo 'refused'
  until_true 30 has_carrier "$NIC" || fail 'no carrier'
  ready
  reachable
}
