# Served software adapters for a QEMU; to be sourced by bash. The caller sets `fastlinq` (the tool), `sockets` (a directory of
# its own) and `logs` (another). Example, with a guest kernel of the caller's:
#
#   fastlinq=target/release/fastlinq sockets=$(mktemp -d) logs=$sockets
#   . conformance/models.sh
#   trap 'models_stop; rm -rf "$sockets"' EXIT
#   model_start mine '--chip k2 --ports 2 --functions 2 --wire patch'
#   conformance/qemu DIR -nodefaults -display none $machine_with_shared_memory "${devices[@]}" ...

# DMA goes through the descriptor of the guest's memory, so it must be shared.
machine_with_shared_memory='-machine q35,memory-backend=ram -object memory-backend-memfd,id=ram,size=1G,share=on'

model_prefix=() # what starts the adapter's process
started=()
devices=()  # arguments of QEMU, one adapter after the other from slot 4 on
controls=() # control sockets of the adapters

# device_argument SOCKET ADDRESS [PROPERTY]: the value of -device for the function behind SOCKET. BUS: not pcie.0. The processor waits
# for its writes: the driver looks for a DMA completion for 20 ms only, which on a busy machine is not enough for an adapter that
# has not got the command yet.
device_argument() {
  printf '{"driver":"vfio-user-pci","bus":"%s","addr":"%s"%s,"socket":{"type":"unix","path":"%s"},"x-no-posted-writes":true}' \
    "${BUS:-pcie.0}" "$2" "${3:-}" "$1"
}

# model_start NAME ARGUMENTS: serves an adapter with these arguments of `fastlinq model serve`; its output is in
# $logs/NAME.model<n>.log. BUS and SLOT: where it is, when not in the next slot of pcie.0. Returns when it can be connected to.
model_start() {
  local name=$1 arguments=$2 number=${#controls[@]} own=() functions=1 function patience=200
  local slot=${SLOT:-$((4 + number))} control=$sockets/$name-$number.control
  [[ $arguments =~ --functions\ ([0-9]+) ]] && functions=${BASH_REMATCH[1]}
  for ((function = 0; function < functions; function++)); do
    local socket=$sockets/$name-$number-$function multi=
    own+=(--socket "$socket")
    ((functions == 1)) || multi=',"multifunction":true'
    devices+=(-device "$(device_argument "$socket" "$slot.$function" "$multi")")
  done
  # shellcheck disable=SC2086
  "${model_prefix[@]}" "$fastlinq" model serve $arguments "${own[@]}" --control "$control" >"$logs/$name.model$number.log" 2>&1 &
  started+=($!)
  until [ -S "$control" ]; do
    ((--patience > 0)) && kill -0 $! 2>/dev/null || {
      echo "conformance: no adapter: $logs/$name.model$number.log" >&2
      return 1
    }
    sleep 0.05
  done
  controls+=("$control")
}

models_stop() {
  local process
  for process in "${started[@]}"; do kill "$process" 2>/dev/null || true; done
  for process in "${started[@]}"; do wait "$process" 2>/dev/null || true; done
  started=() devices=() controls=() model_prefix=()
}
