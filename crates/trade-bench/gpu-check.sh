#!/usr/bin/env bash
# What is to be known of TRADE on an NVIDIA card, in one go and within ten minutes: that it builds and
# agrees with double precision on the CPU, how long a training step takes beside PyTorch on the same
# card, and that the published lattice run starts.
#
#     crates/trade-bench/gpu-check.sh <folder>
#
# Results go to the folder; `summary.md` there has all of them. A part that fails does not keep the
# others from running, and the script then ends with 1. Environment:
#   DEVICE   where to compute, cuda:0 unless given (wgpu:0 compares no PyTorch)
#   PYTHON   a Python with PyTorch for the card; without it one is installed into the folder
#   MINUTES  how long all of it may take, 10 unless given
#   PROGRAMS a folder with the programs `trade`, `trade-bench` and `parity` (the test), built elsewhere
#            with the feature of the device, for a machine without Rust
set -uo pipefail

if [ $# != 1 ]; then
    sed -n '2,16s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
mkdir -p "$1" || exit 2
out=$(cd "$1" && pwd)
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 2

device=${DEVICE:-cuda:0}
feature=${device%%:*}
deadline=$((SECONDS + 60 * ${MINUTES:-10}))
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}" CARGO_INCREMENTAL=0
programs=${PROGRAMS:-$CARGO_TARGET_DIR/release}
bench=$programs/trade-bench
peers=crates/trade-bench/peers
failed=0

{
    echo "# TRADE on $device, $(date -u +%Y-%m-%d)"
    echo
    echo "Commit $(git rev-parse --short HEAD 2>/dev/null || echo unknown)."
} >"$out/summary.md"

# part <name> <seconds> <command…>: runs a part for at most so long, and no longer than is left.
part() {
    # The limits are those of ten minutes in all.
    local name=$1 limit=$(($2 * ${MINUTES:-10} / 10)) start=$SECONDS state
    shift 2
    local left=$((deadline - SECONDS))
    ((left < limit)) && limit=$left
    if ((limit <= 0)); then
        state='not run: the time is over'
        failed=1
    elif timeout "$limit" "$@" >"$out/$name.log" 2>&1; then
        state=passed
    else
        state="FAILED with $?, see $name.log"
        failed=1
    fi
    printf '%s: %s (%d s)\n' "$name" "$state" $((SECONDS - start)) | tee -a "$out/parts.txt"
    [ "$state" = passed ]
}

: >"$out/parts.txt"
if [ -n "${PROGRAMS:-}" ]; then
    parity=("$programs/parity")
else
    parity=(cargo test --release -p trade --features "$feature" --test parity --)
    part build 400 cargo build --release --workspace --exclude xtask --bins --features "$feature"
fi
part machine 60 bash -c "'$programs/trade' devices; nvidia-smi || true; nproc; lscpu | grep 'Model name'"
part parity 300 env TRADE_PARITY_OUT="$out" "${parity[@]}" "$feature" --nocapture

for settings in multi-well lattice alanine; do
    part "trade-$settings" 90 "$bench" speed --settings "$settings" --device "$device"
done
cat "$out"/trade-*.log 2>/dev/null | grep '^{' >"$out/trade.jsonl"

# The peer: eager, with compiled splines, and as CUDA graphs. It has no alanine.
if [ "$feature" = cuda ]; then
    python=${PYTHON:-}
    if [ -z "$python" ]; then
        python=$out/torch/bin/python
        part torch 180 bash -c "python3 -m venv '$out/torch' && '$python' -m pip install --quiet -r $peers/requirements.txt"
    fi
    for settings in multi-well lattice; do
        peer=("$python" "$peers/torch_step.py" --settings "$settings" --device "$device")
        part "eager-$settings" 60 "${peer[@]}"
        part "graphs-$settings" 60 "${peer[@]}" --graphs
    done
    part compiled-multi-well 120 "$python" "$peers/torch_step.py" --device "$device" --compile
    for kind in eager graphs compiled; do
        cat "$out/$kind"-*.log 2>/dev/null | grep '^{' >"$out/$kind.jsonl"
    done
    part ratios 10 "$python" "$peers/ratios.py" \
        "$out/trade.jsonl" "$out/eager.jsonl" "$out/graphs.jsonl" "$out/compiled.jsonl"
fi

# As far as the published lattice run comes in the time that is left, but a minute at least is worth it.
lattice=$out/lattice/runs/trade-continuous/seed-0
left=$((deadline - SECONDS - 5))
((left > 120)) && left=120
if ((left > 20)); then
    timeout "$left" "$bench" reproduce --experiment lattice --preset paper --methods trade-continuous \
        --device "$device" --out "$out/lattice" >"$out/lattice.log" 2>&1
    if [ -s "$lattice/metrics.jsonl" ]; then
        echo "lattice: passed, $(tail -n 1 "$lattice/metrics.jsonl")" | tee -a "$out/parts.txt"
    else
        echo 'lattice: FAILED, see lattice.log' | tee -a "$out/parts.txt"
        failed=1
    fi
else
    echo 'lattice: not run: the time is over' | tee -a "$out/parts.txt"
    failed=1
fi

{
    printf '\n## Parts\n\n'
    sed 's/^/- /' "$out/parts.txt"
    printf '\n## Machine\n\n```text\n'
    cat "$out/machine.log"
    printf '```\n\n## Milliseconds of each operation\n\n'
    cat "$out/ratios.log" 2>/dev/null || sed 's/^/    /' "$out/trade.jsonl"
    printf '\n## Parity\n\n'
    cat "$out/parity-$feature.md" 2>/dev/null || echo 'No table was written.'
} >>"$out/summary.md"
echo "all results: $out/summary.md"
exit $failed
