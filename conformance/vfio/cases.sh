# The cases: `fastlinq` on an adapter that vfio-pci has, behind an IOMMU.

A=0000:00:04.0
SILENT=0000:00:05.0
# Two functions of one adapter, with ports that are patched to each other.
LEFT=0000:00:06.0
RIGHT=0000:00:06.1
# Behind a root port, which reports errors on the bus.
BEHIND=0000:01:00.0

# fails_with CODE TEXT COMMAND...: exit code and a part of the output.
fails_with() {
  wanted=$1 part=$2
  shift 2
  code=0
  output=$("$@" 2>&1) || code=$?
  [ "$code" = "$wanted" ] || fail "$*: exit code $code, not $wanted: $output"
  echo "$output" | grep -Eq -- "$part" || fail "$*: no '$part' in: $output"
}

# number NAME FILE: a number in JSON text, the first of that name.
number() { sed -nE "s/.*\"$1\": ([0-9.]+).*/\\1/p" "$2" | head -1; }

bring_up() { fastlinq up --adapter "vfio:$A" "$@"; }

# In use by no driver yet: it is looked at, and the message says what to do.
case_unbound() {
  expect 'QL41000' fastlinq list
  expect 'driver      none' fastlinq list
  expect "fastlinq bind $A" fastlinq list
  expect 'no fault found' fastlinq diagnose --adapter "sysfs:$A"
  expect 'version 8.59' fastlinq diagnose --adapter "sysfs:$A"
  fails_with 1 "no driver has $A, not vfio-pci; bind it with .fastlinq bind $A" bring_up
}

case_bind() {
  expect "vfio-pci has $A" fastlinq bind "$A"
  expect 'vfio-pci has' fastlinq bind "$SILENT"
  # Nothing to do, and no error.
  expect 'vfio-pci has' fastlinq bind "$A"
}

case_list_bound() {
  expect 'driver      vfio-pci' fastlinq list
  expect 'ready for this driver' fastlinq list
  expect '"severity": "note"' fastlinq list --json
  fails_with 0 "registers: vfio-pci has $A" fastlinq diagnose --adapter "sysfs:$A"
}

# All promises of a host, an interrupt among them. Then the card is pulled: accesses come to nothing, time and memory are as before.
case_host_check() {
  log_may_say "^(vfio-pci|pci) $A: |^irq "
  fastlinq host-check --adapter "vfio:$A" --gone >/tmp/checked 2>&1 &
  check=$!
  until_true 60 grep -q 'waiting for the adapter to be pulled out' /tmp/checked || { cat /tmp/checked; fail 'a promise is broken'; }
  tell unplug
  until_true 60 grep -q 'a function that is gone reads as all ones' /tmp/checked || { cat /tmp/checked; fail 'no report'; }
  tell plug
  code=0
  wait $check || code=$?
  [ $code = 0 ] || { cat /tmp/checked; fail "exit code $code"; }
  for promise in 'interrupts arrive' 'the device masters the bus' 'a function that is gone reads as all ones' \
    'writes to a function that is gone are swallowed'; do
    expect "passed   $promise" cat /tmp/checked
  done
}

case_up() {
  fails_with 0 'no huge pages of 2 MiB left' bring_up
  expect 'link up' bring_up --cycles 2
  expect 'no fault found' fastlinq diagnose --adapter "vfio:$A"
}

case_huge_pages() {
  echo 24 >/proc/sys/vm/nr_hugepages
  bring_up -v >/tmp/up 2>&1 || fail "$(cat /tmp/up)"
  grep -q '2 MiB pages for the device' /tmp/up || fail 'no huge pages are used'
  ! grep -q 'no huge pages' /tmp/up || fail 'there were huge pages'
  # All of them are back.
  expect 'HugePages_Free: +24' cat /proc/meminfo
}

# One page of 1 GiB, reserved when the machine booted; without it smaller ones, with a warning.
case_huge_pages_1g() {
  pool=/sys/kernel/mm/hugepages/hugepages-1048576kB
  [ "$(cat $pool/free_hugepages 2>/dev/null)" = 1 ] || not_applicable 'this machine has no page of 1 GiB'
  bring_up --pages 1g -v >/tmp/up 2>&1 || fail "$(cat /tmp/up)"
  grep -q '1 GiB pages for the device' /tmp/up || fail 'the page is not used'
  ! grep -q 'no huge pages' /tmp/up || fail 'there was a huge page'
  expect '^1$' cat $pool/free_hugepages
  echo 0 >$pool/nr_hugepages
  fails_with 0 'no huge pages of 1 GiB left, DMA memory is made of 2 MiB pages' bring_up --pages 1g
}

# Doorbells write-combining, through a file of the kernel that a BAR has which is prefetchable.
case_write_combining() {
  bring_up -v >/tmp/up 2>&1 || fail "$(cat /tmp/up)"
  grep -q 'doorbells are write-combining' /tmp/up && return
  # Some kernels let VFIO keep all BARs for itself.
  grep -q 'resource2_wc: Invalid argument' /tmp/up || { grep resource2_wc /tmp/up; fail 'doorbells are uncached'; }
  not_applicable "this kernel's vfio-pci gives no BAR to others"
}

# Where the kernel has it all other cases use it; where it does not, the group. Where it does the group must work, too.
case_iommufd() {
  if [ ! -e /dev/iommu ] || [ ! -d /dev/vfio/devices ]; then
    expect "$A through group and container" bring_up -v
    not_applicable 'this kernel has no iommufd for VFIO'
  fi
  expect "$A through iommufd" bring_up -v
  mv /dev/iommu /dev/not-iommu
  expect "$A through group and container" bring_up -v
  mv /dev/not-iommu /dev/iommu
}

case_traffic() {
  fastlinq sample /tmp/sample --frames 1000
  fastlinq loop /tmp/sample --adapter "vfio:$A" --json >/tmp/loop || fail "$(cat /tmp/loop)"
  [ "$(number unchanged /tmp/loop)" = 1000 ] || fail "$(cat /tmp/loop)"
  echo "@measure loop: 1000 frames in $(number seconds /tmp/loop) s"
}

# traffic_begins [ADDRESS]: traffic that goes on while something happens to the adapter.
traffic_begins() {
  [ -f /tmp/long ] || fastlinq sample /tmp/long --frames 300000 --max 100
  # Large bursts fill the ring sooner when nothing is sent any more.
  fastlinq loop /tmp/long --burst 256 --adapter "vfio:${1:-$A}" >/tmp/long.log 2>&1 &
  traffic=$!
  sleep 2
  kill -0 $traffic 2>/dev/null || { cat /tmp/long.log; fail 'there is no traffic'; }
}

gone() { ! kill -0 $traffic 2>/dev/null; }

# traffic_fails WHAT: ends by itself in bounded time, with an error and without a panic; afterwards the adapter works again.
traffic_fails() {
  begun=$(now)
  until_true 60 gone || { kill -9 $traffic; fail 'the traffic does not end'; }
  code=0
  wait $traffic || code=$?
  cat /tmp/long.log
  [ $code -gt 0 ] && [ $code -lt 100 ] || fail "exit code $code"
  ! grep -q panicked /tmp/long.log || fail 'a panic'
  echo "@measure $1: error after $(since "$begun") s"
  expect 'link up' bring_up
}

# Two programs cannot have it.
case_busy() {
  traffic_begins
  fails_with 1 'in use by another process' bring_up
  kill $traffic
  wait $traffic || true
}

case_reset_in_traffic() {
  traffic_begins
  echo 1 >/sys/bus/pci/devices/$A/reset
  traffic_fails 'reset in traffic'
}

# Memory space off under a program: no access arrives any more. This QEMU reads zeros there, where a platform gives ones.
case_memory_off_in_traffic() {
  traffic_begins
  printf '\000\000' | dd of=/sys/bus/pci/devices/$A/config bs=1 seek=4 count=2 conv=notrunc 2>/dev/null
  traffic_fails 'memory off in traffic'
}

# Pulled out without notice: every read gives all ones. The kernel tries to reset an empty slot for a minute, so the card goes back
# in when the program has said what is wrong.
case_unplugged_in_traffic() {
  log_may_say "^(vfio-pci|pci) $A: |^irq "
  traffic_begins
  tell unplug
  begun=$(now)
  until_true 150 grep -q 'layer at fault' /tmp/long.log || { cat /tmp/long.log; fail 'nothing is said'; }
  echo "@measure unplugged in traffic: error after $(since "$begun") s"
  tell plug
  grep -q 'layer at fault: PCI' /tmp/long.log || { cat /tmp/long.log; fail 'another layer is blamed'; }
  until_true 60 gone || fail 'the program does not end'
  expect 'link up' bring_up
}

# The function is removed, as by hot-unplug: the kernel asks the program to let go of it, and waits for that.
case_removed_in_traffic() {
  log_may_say "^(vfio-pci|pci|pcieport) 0000:00:[0-9a-f.]+: |^pci_bus "
  traffic_begins
  (echo 1 >/sys/bus/pci/devices/$A/remove) &
  removal=$!
  begun=$(now)
  until_true 60 gone || { kill -9 $traffic; fail 'the traffic does not end'; }
  code=0
  wait $traffic || code=$?
  wait $removal
  echo "@measure removed in traffic: gone after $(since "$begun") s"
  [ $code = 1 ] || fail "exit code $code"
  grep -q 'wants the adapter back' /tmp/long.log || { cat /tmp/long.log; fail 'the reason is not said'; }
  [ ! -d /sys/bus/pci/devices/$A ] || fail 'it is still there'
  echo 1 >/sys/bus/pci/rescan
  until_true 20 test -d /sys/bus/pci/devices/$A || fail 'it does not come back'
  fastlinq bind "$A"
  expect 'link up' bring_up
}

# An error that the root port reports for the function: the program says so, and the next bring-up works.
case_bus_error_in_traffic() {
  log_may_say "AER|^aer_inject|^(vfio-pci|pcieport) [0-9a-f:.]+: |^{.*}"
  insmod /modules/aer_inject.ko aer_mask_override=1
  fastlinq bind "$BEHIND"
  traffic_begins "$BEHIND"
  # Bus, device, function; uncorrectable status: a completion did not come; correctable status, header, domain.
  zeros='\0\0\0\0'
  printf "\\1\\0\\0\\0\\0\\100\\0\\0$zeros$zeros$zeros$zeros$zeros$zeros" >/dev/aer_inject || fail 'no error can be injected'
  begun=$(now)
  until_true 60 gone || { kill -9 $traffic; fail 'the traffic does not end'; }
  code=0
  wait $traffic || code=$?
  [ $code = 1 ] || fail "exit code $code"
  grep -q 'an error on the bus was reported' /tmp/long.log || { cat /tmp/long.log; fail 'the reason is not said'; }
  echo "@measure bus error in traffic: error after $(since "$begun") s"
  expect 'link up' fastlinq up --adapter "vfio:$BEHIND"
}

# The kernel takes the adapter and the memory back from a program that had no time to.
case_killed_in_traffic() {
  traffic_begins
  kill -9 $traffic
  wait $traffic || true
  expect 'link up' bring_up
  expect 'HugePages_Free: +24' cat /proc/meminfo
}

case_silent() {
  begun=$(now)
  fails_with 1 'layer at fault: management firmware' fastlinq up --adapter "vfio:$SILENT"
  echo "@measure silent management firmware: error after $(since "$begun") s"
}

# example NAME ARGUMENT...: the program on one port, its visitor on the other. What it says is in /tmp/example.
example() {
  name=$1
  shift
  fastlinq bind "$LEFT"
  fastlinq bind "$RIGHT"
  begun=$(now)
  code=0
  timeout 60 "example-$name" --adapter "vfio:$LEFT" --visitor "vfio:$RIGHT" "$@" >/tmp/example 2>&1 || code=$?
  cat /tmp/example
  [ $code = 0 ] || fail "example-$name: exit code $code"
  echo "@measure example-$name: done after $(since "$begun") s"
}

case_bring_up_example() {
  expect '^Up, PF 0$' example-bring-up "vfio:$A" /lib/firmware/qed/qed_init_values_zipped-8.59.1.0.bin
}

# Every datagram is answered once and comes back unchanged.
case_echo_example() {
  example echo --datagrams 1000
  expect '^1000 datagrams answered; ' cat /tmp/example
  expect 'the visitor got 1000 of 1000 datagrams back, unchanged' cat /tmp/example
}

# Both queues send all that they receive and have all their buffers. Only what was on its way at the end may be lost: the visitor
# sends at most 256 frames ahead of what it has back.
case_forward_example() {
  example forward --queues 2 --seconds 3
  ! grep -q '([1-9][0-9]* dropped)' /tmp/example || fail 'frames are dropped'
  sed -nE 's/^queue [01]: ([0-9]+) frames in, ([0-9]+) out, ([0-9]+) buffers missing$/\1 \2 \3/p' /tmp/example >/tmp/queues
  awk '$1 > 0 && $1 == $2 && $3 == 0 {good++} END {exit good != 2}' /tmp/queues || fail 'a queue lacks frames or buffers'
  sed -nE 's/^the visitor sent ([0-9]+) frames and got ([0-9]+) back$/\1 \2/p' /tmp/example >/tmp/visitor
  awk '$2 > 100 && $1 >= $2 && $1 - $2 <= 256 {good++} END {exit good != 1}' /tmp/visitor || fail 'the visitor misses frames'
  # No frame came from nowhere.
  awk 'NR == FNR {forwarded += $2; next} $2 > forwarded {exit 1}' /tmp/queues /tmp/visitor || fail 'more came back than was sent'
}

# From one port to another adapter, whose loopback sends everything back, and to the visitor.
case_forward_ports_example() {
  fastlinq bind "$RIGHT"
  fastlinq bind "$LEFT"
  code=0
  timeout 60 example-forward --adapter "vfio:$RIGHT" --to "vfio:$A" --visitor "vfio:$LEFT" --queues 2 --seconds 2 >/tmp/example 2>&1 || code=$?
  cat /tmp/example
  [ $code = 0 ] || fail "exit code $code"
  [ "$(grep -cE '^(other port, )?queue [01]: .* 0 buffers missing$' /tmp/example)" = 4 ] || fail 'buffers are missing'
  sed -nE 's/^the visitor sent ([0-9]+) frames and got ([0-9]+) back$/\1 \2/p' /tmp/example >/tmp/visitor
  awk '$2 > 20 && $1 >= $2 && $1 - $2 <= 256 {good++} END {exit good != 1}' /tmp/visitor || fail 'the visitor misses frames'
}

case_unbind() {
  expect "no driver has $A" fastlinq unbind "$A"
  expect 'driver      none' fastlinq list
}

# Bring-up in the same guest on the same adapter: this driver's (from Reset to Up with a link) and Linux's (loading qede until
# there is an interface; then from up to carrier).
case_against_qed() {
  # The doorbells of the cases before that were rung in mid-reset are still on the chip's record.
  log_may_say '^\[qed_dorq_attn_int_sts:[0-9]+\(\)\]|^(Address|FID|Size|1st drop reason|Sticky reasons)\s'
  log_may_say 'Received an MFW message indication but no new message'
  fastlinq bind "$A"
  best=
  for round in 1 2 3; do
    bring_up --json >/tmp/up
    # All steps but the last, which goes down.
    took=$(sed -nE 's/.*"wall_us": ([0-9]+).*/\1/p' /tmp/up | sed '$d' | awk '{sum += $1} END {print sum}')
    if [ -z "$best" ] || [ "$took" -lt "$best" ]; then best=$took; fi
  done
  fastlinq unbind "$A"
  insmod /modules/crc8.ko || true
  insmod /modules/qed.ko
  begun=$(now)
  insmod /modules/qede.ko
  until_true 60 test -n "$(nic)" || fail 'no interface'
  probe=$(since "$begun")
  NIC=$(nic)
  begun=$(now)
  ip link set "$NIC" up
  until_true 60 has_carrier "$NIC" || fail 'no carrier'
  open=$(since "$begun")
  echo "@measure bring-up: this driver $(echo "$best" | awk '{printf "%.2f", $1 / 1e6}') s, Linux's $probe s until there is an interface, $open s more until carrier"
  echo "$best $probe" | awk '{exit !($1 / 1e6 <= $2 / 2)}' || fail 'more than half of what Linux takes'
  unload
}
