#!/usr/bin/env python3
"""Draws the training curves of the same run in single precision, with Burn's ordinary operations in place of the kernels, and in bfloat16.

    cargo build --release --features ordinary && cp target/release/scorefield ordinary
    cargo build --release
    dev/bench/curves.py --binary target/release/scorefield --ordinary ./ordinary --steps 500 -o docs/images/curves.png
"""
import argparse, json, statistics, subprocess, tempfile, time

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

p = argparse.ArgumentParser()
p.add_argument("--binary", required=True)
p.add_argument("--ordinary", required=True)
p.add_argument("--data", default="digits")
p.add_argument("--recipe", default="digits")
p.add_argument("--steps", type=int, default=500)
p.add_argument("-o", "--output", default="curves.png")
a = p.parse_args()

runs = {"f32, kernels": (a.binary, "f32"), "f32, ordinary operations": (a.ordinary, "f32"), "bf16, kernels": (a.binary, "bf16")}
losses, seconds = {}, {}
with tempfile.TemporaryDirectory() as folder:
    for i, (name, (binary, precision)) in enumerate(runs.items()):
        out, begun = f"{folder}/{i}", time.time()
        command = [binary, "train", a.data, "--recipe", a.recipe, "--steps", str(a.steps), "--out", out, "--precision", precision, "--quiet"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds[name] = time.time() - begun
        rows = [json.loads(line) for line in open(f"{out}/metrics.jsonl")]
        losses[name] = [row["loss"] for row in rows if "loss" in row]

base = losses["f32, kernels"]
fig, (top, bottom) = plt.subplots(2, 1, figsize=(9, 7), sharex=True, gridspec_kw={"height_ratios": [3, 2]})
for name, values in losses.items():
    relative = [abs(v - b) / b for v, b in zip(values, base)]
    print(f"{name:26} {seconds[name]:6.1f} s; last fifty: mean loss {statistics.mean(values[-50:]):.5f}, "
          f"difference from the first: median {statistics.median(relative[-50:]):.1e}, largest of all steps {max(relative):.1e}")
    width = {"f32, kernels": 3.5, "f32, ordinary operations": 1.2, "bf16, kernels": 0.8}[name]
    top.plot(values, label=name, linewidth=width)
    if values is not base:
        bottom.semilogy([max(r, 1e-9) for r in relative], label=name, linewidth=0.8)
top.set_ylabel("loss of the step")
top.set_yscale("log")
top.legend()
bottom.set_ylabel("relative difference from f32 with kernels")
bottom.set_xlabel("step")
bottom.legend()
fig.tight_layout()
fig.savefig(a.output, dpi=110)
