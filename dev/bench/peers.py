#!/usr/bin/env python3
"""Times scorefield and what a user would pick instead, in turn, on this machine, and prints the ratios of the medians.

    cargo build --release
    PYTHON_OF_PEERS dev/bench/peers.py --peers path/to/unet_peers.py --model ddpm-cifar10 --batch 16 --rounds 5

The peers' script prints one JSON line a peer with `median_ms`; `scorefield bench --json` prints ours. One round runs both; each side
is summed up by the median over the rounds and its spread. Memory is the peak resident set of the whole process.
"""
import argparse, json, os, resource, statistics, subprocess, sys

p = argparse.ArgumentParser()
p.add_argument("--binary", default="scorefield", help="our binary")
p.add_argument("--peers", required=True, help="the script that times the peers")
p.add_argument("--model", choices=["ddpm-cifar10", "small28"], default="ddpm-cifar10")
p.add_argument("--batch", type=int, default=16)
p.add_argument("--threads", type=int, default=os.cpu_count())
p.add_argument("--rounds", type=int, default=5)
p.add_argument("--runs", type=int, default=3, help="timed runs a round on either side")
p.add_argument("--train", action="store_true")
p.add_argument("--compile", action="store_true", help="also torch.compile, where the peers' script can")
a = p.parse_args()

env = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}


def run(command, first=None):
    """Standard output of a command and the peak resident set of its process in MiB; `first` is told the peak at the first line."""
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env, text=True)
    out = child.stdout.readline()
    if first is not None and out:
        status = open(f"/proc/{child.pid}/status").read()
        first.append(int(status.split("VmHWM:")[1].split()[0]) / 1024)
    out += child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    if status != 0:
        sys.exit(f"failed: {' '.join(command)}")
    return out, usage.ru_maxrss / 1024


times, memory = {}, {}
for round_ in range(a.rounds):
    what = "train" if a.train else "forward"
    for precision in ("f32", "bf16"):
        ours, peak = run([a.binary, "bench", a.model, "--what", what, "--batch", str(a.batch), "--threads", str(a.threads),
                          "--runs", str(a.runs), "--precision", precision, "--json"])
        times.setdefault("scorefield " + precision, []).append(json.loads(ours)["median_ms"])
        memory.setdefault("scorefield " + precision, []).append(peak)
    theirs, peak = run([sys.executable, a.peers, "--model", a.model, "--batch", str(a.batch), "--threads", str(a.threads),
                        "--runs", str(a.runs)] + (["--train"] if a.train else []) + (["--compile"] if a.compile else []),
                       memory.setdefault("the first peer, at its end", []))
    memory.setdefault("all peers, one process", []).append(peak)
    for line in theirs.splitlines():
        row = json.loads(line)
        times.setdefault(row["peer"], []).append(row["median_ms"])
    print(f"round {round_ + 1} of {a.rounds}", file=sys.stderr)

mine = [statistics.median(times["scorefield " + precision]) for precision in ("f32", "bf16")]
print(f"{a.model}, batch {a.batch}, {'training step' if a.train else 'forward pass'}, {a.threads} threads, {a.rounds} rounds")
for name, values in times.items():
    median = statistics.median(values)
    print(f"{name:28} {median:9.1f} ms  ({min(values):.1f} to {max(values):.1f})  {a.batch / median * 1e3:8.2f} img/s"
          f"  scorefield is {median / mine[0]:.2f} x as fast in f32, {median / mine[1]:.2f} x in bf16")
for name, values in memory.items():
    print(f"peak memory {name:28} {statistics.median(values):8.0f} MiB")
