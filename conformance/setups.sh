# What some boots of conformance/run need on this machine; sourced by it. For a setup S: prepare_S before the adapter is started
# (a failure with the reason in $state/NAME.why: not run), start_S after it, judge_S prints further rows when the guest is gone.

# tool NAME ARGUMENT...: a program that conformance/fetch unpacked; takes the place of the shell that calls it.
tool() {
  local directory=$root/tools binary lib
  [ "$1" != tcpdump ] || directory=$root/reader
  binary=$(find "$directory/" -path "*bin/$1" -type f -perm -100 | head -1)
  lib=$directory/usr/lib/x86_64-linux-gnu
  exec "${inside[@]}" "$lib/ld-linux-x86-64.so.2" --library-path "$lib" "$binary" "${@:2}"
}

inside=()

# A network namespace, in which whoever runs this may make a TAP interface; without privileges, in a user namespace.
prepare_tap() {
  local user=() into=() holder patience=50
  [ "$(id -u)" = 0 ] || { user=(-U -r) into=(-U --preserve-credentials); }
  if ! [ -c /dev/net/tun ] || ! command -v nsenter unshare >/dev/null || ! unshare "${user[@]}" -n true 2>/dev/null; then
    echo 'no network namespace or no /dev/net/tun for this user' >"$state/$name.why"
    return 1
  fi
  unshare "${user[@]}" -n sleep 86400 &
  holder=$!
  started+=("$holder")
  while [ "$(readlink /proc/$holder/ns/net)" = "$(readlink /proc/$$/ns/net)" ] && ((--patience > 0)); do sleep 0.1; done
  inside=(nsenter -t "$holder" "${into[@]}" -n)
  model_prefix=("${inside[@]}")
}

start_tap() {
  (tool ip addr add 10.0.0.2/24 dev fastlinq0)
  (tool ip -6 addr add fd00::2/64 dev fastlinq0 nodad)
  (tool ip link set fastlinq0 up)
  (tool ip link set lo up)
  tool iperf3 --server >"$logs/$name.iperf.log" 2>&1 &
  started+=($!)
}

# The capture beside the wire, read by a program that others wrote: the pings of case tap_ping, each once there and back.
judge_tap() {
  local name=$1 kind count verdict=pass
  local inside=()
  for kind in 'echo request' 'echo reply'; do
    count=$( (tool tcpdump -Z root -n -r "$logs/tap.pcap" 'icmp and ip[2:2] == 761' 2>>"$logs/$name.tcpdump.log") | grep -c "ICMP $kind.*length 741" || true)
    [ "$count" = $((20 * repeat)) ] || {
      echo "conformance: the capture has $count of $((20 * repeat)) pings ($kind)"
      verdict=FAIL
      : >"$state/$name.failed"
    }
  done
  # It has every byte of the iperf3 runs.
  rm -f "$logs/tap.pcap"
  row "$name" capture "$verdict" - ''
}
