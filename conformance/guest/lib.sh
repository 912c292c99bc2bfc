# What all cases use. A case is a function case_NAME; it fails when a command in it fails.

# The shell prefers its own applets to programs of the same name.
ip() { /bin/ip "$@"; }

fail() {
  echo "FAILED: $*"
  exit 1
}

# not_applicable REASON: this kernel lacks what the case is about.
not_applicable() {
  echo "$*" >/tmp/why
  exit 66
}

# expect TEXT COMMAND...: the command's output holds TEXT (an extended regular expression).
expect() {
  expected=$1
  shift
  output=$("$@" 2>&1) || fail "$*: exit code $?: $output"
  echo "$output" | grep -Eq -- "$expected" || fail "$*: no '$expected' in: $output"
}

# until_true SECONDS COMMAND...
until_true() {
  left=$(($1 * 10))
  shift
  while ! "$@"; do
    left=$((left - 1))
    [ "$left" -gt 0 ] || return 1
    usleep 100000
  done
}

now() { cut -d' ' -f1 /proc/uptime; }
since() { echo "$1 $(now)" | awk '{printf "%.1f", $2 - $1}'; }

# Names of the driver's interfaces in the order of their PCI addresses.
nics() {
  for link in /sys/bus/pci/drivers/qede/0*; do
    [ -d "$link/net" ] && ls "$link/net"
  done
  true
}
nic() { nics | head -1; }
address_of() { basename "$(readlink -f "/sys/class/net/$1/device")"; }
adapters() {
  for device in /sys/bus/pci/devices/*; do
    [ "$(cat "$device/vendor")" = 0x1077 ] && basename "$device"
  done
  true
}
has_carrier() { [ "$(cat "/sys/class/net/$1/carrier" 2>/dev/null)" = 1 ]; }
no_carrier() { [ "$(cat "/sys/class/net/$1/carrier" 2>/dev/null)" = 0 ]; }

# counter NIC NAME: a number of ethtool -S, 0 when there is none of that name.
counter() { ethtool -S "$1" | awk -F: -v name="$2" '{sub(/^ +/, "")} $0 ~ "^"name":" {sum += $NF} END {printf "%d\n", sum}'; }
# Of all queues together; a transmit queue has a traffic class in its name when there are several.
received_by_queues() { counter "$1" '[0-9]+: rcv_pkts'; }
sent_by_queues() { counter "$1" '[0-9_.]+: xmit_pkts'; }
# queue_counter NIC NAME: one number per queue of that name.
queue_counter() { ethtool -S "$1" | sed -nE "s/^ +[0-9]+: $2: ([0-9]+)/\\1/p"; }

load() {
  for module in crc8 qed qede; do
    [ ! -f /modules/$module.ko ] || [ -d /sys/module/$module ] || insmod /modules/$module.ko || return 1
  done
}
unload() { rmmod qede && rmmod qed; }

# The first interface up with its addresses; loads the driver when it is not there.
ready() {
  load
  until_true 60 test -n "$(nic)" || fail 'no interface'
  NIC=$(nic)
  if ! has_carrier "$NIC"; then
    echo 0 >/proc/sys/net/ipv6/conf/$NIC/accept_dad
    ip link set "$NIC" up
    until_true 30 has_carrier "$NIC" || fail "no carrier on $NIC"
  fi
  ip addr replace 10.0.0.1/24 dev "$NIC"
  ip -6 addr replace fd00::1/64 dev "$NIC" nodad
}
reachable() { ping -c 3 -i 0.2 -W 5 "${1:-10.0.0.2}" >/tmp/ping || { cat /tmp/ping; fail "no answer from ${1:-10.0.0.2}"; }; }

# tell COMMAND...: a line to the adapter's control socket; prints the answer, fails when it is not "ok".
tell() {
  echo "$*" >&3
  read -r -t 10 answer <&3 || fail "the adapter does not answer '$*'"
  echo "$answer"
  case $answer in ok*) ;; *) fail "the adapter says '$answer' to '$*'" ;; esac
}

log_begins() { dmesg >/tmp/log.seen; }

# set_queues NIC COUNT
set_queues() {
  log_may_say 'Number of in use tx queues changed invalidating tc mappings'
  [ "$(ethtool -l "$1" | awk '/^Combined/ {n = $2} END {print n}')" = "$2" ] || ethtool -L "$1" combined "$2"
  ready
  [ "$(queue_counter "$1" rcv_pkts | wc -l)" -eq "$2" ] || fail "there are not $2 queues"
}

# What the kernel said since the last look and neither the list of expected lines nor the case explains.
unexpected_log() {
  dmesg >/tmp/log.now
  tail -n "+$(($(wc -l </tmp/log.seen) + 1))" /tmp/log.now | sed -E 's/^\[ *[0-9.]+\] //' >/tmp/log.new
  mv /tmp/log.now /tmp/log.seen
  grep -vEf /expected-log /tmp/log.new >/tmp/log.rest
  if [ -s /tmp/log.case ]; then grep -vEf /tmp/log.case /tmp/log.rest; else cat /tmp/log.rest; fi
}
# log_may_say REGEX: for this case only.
log_may_say() { echo "$1" >>/tmp/log.case; }

run_case() {
  echo "@start $1"
  begun=$(now)
  : >/tmp/log.case
  if type "case_$1" >/dev/null 2>&1; then
    (set -e; "case_$1")
    code=$?
  else
    echo "there is no case $1"
    code=1
  fi
  unexpected_log >/tmp/log.unexpected
  if [ -s /tmp/log.unexpected ]; then
    echo 'FAILED: unexpected in the kernel log:'
    cat /tmp/log.unexpected
    code=1
  fi
  why=
  case $code in
    0) verdict=pass ;;
    66) verdict=n/a why=" $(cat /tmp/why)" ;;
    *) verdict=FAIL ;;
  esac
  echo "@result $1 $verdict $(since "$begun")$why"
}
