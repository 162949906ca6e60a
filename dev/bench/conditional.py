#!/usr/bin/env python3
"""Samples of a model that is given small or grey pictures, beside what they were made from, and how far they are from it.

    scorefield train DATA --recipe fashion28 --set data.condition=low:4 --steps 1200 --out sharpen
    dev/bench/conditional.py --binary scorefield --model sharpen --data DATA#test --side 4 -o docs/images/conditional.png

A row is an example: the truth, what is given (its means over blocks, or with `--side 1` its luma), four samples. Said are PSNR against the truth
and the root mean square between the means (luma) of samples and those given, beside the same of samples given the next row's.
"""
import argparse, pathlib, subprocess, tempfile

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt

p = argparse.ArgumentParser()
p.add_argument("--binary", required=True)
p.add_argument("--model", required=True)
p.add_argument("--data", required=True)
p.add_argument("--side", type=int, default=4)
p.add_argument("--steps", type=int, default=30)
p.add_argument("--first", type=int, default=0)
p.add_argument("--rows", type=int, default=8)
p.add_argument("--every", type=int, default=1, help="so many examples from row to row")
p.add_argument("-o", "--output", required=True)
a = p.parse_args()


def call(*arguments):
    subprocess.run([a.binary, *map(str, arguments), "-q"], check=True, stdout=subprocess.DEVNULL)


def poorer(x):
    if a.side == 1:
        return np.einsum("nchw,c->nhw", x, [0.299, 0.587, 0.114])[:, None]
    n, c, h, w = x.shape
    return x.reshape(n, c, h // a.side, a.side, w // a.side, a.side).mean((3, 5))


truths, drawn = [], []
with tempfile.TemporaryDirectory() as folder:
    for i in range(a.first, a.first + a.rows * a.every, a.every):
        # The truth, as the program reads it, stands in an answer of `solve`.
        call("solve", a.model, f"{a.data}@{i}", "--simulate", "--task", "denoise", "--condition", f"{a.data}@{i}", "-n", 1,
             "--steps", 2, "--rule", "ddnm", "-o", f"{folder}/t{i}")
        truths.append(np.load(f"{folder}/t{i}/arrays.npz")["truth"])
        call("sample", a.model, "--condition", f"{a.data}@{i}", "-n", 4, "--steps", a.steps, "--class", "none", "-o", f"{folder}/s{i}.npy")
        drawn.append(np.load(f"{folder}/s{i}.npy").reshape(4, *truths[-1].shape))
truths, drawn = np.array(truths, float), np.array(drawn, float)
given = poorer(truths)
of = poorer(drawn.reshape(-1, *truths.shape[1:])).reshape(a.rows, 4, *given.shape[1:])
rms = lambda x: np.sqrt((x**2).mean())
psnr = np.mean([20 * np.log10(255 / rms(d - t)) for t, each in zip(truths, drawn) for d in each])
print(f"{a.rows} examples, 4 samples each: PSNR {psnr:.1f} dB; {'luma' if a.side == 1 else 'block means'} off by {rms(of - given[:, None]):.2f} of 255, "
      f"from the next row's by {rms(of - np.roll(given, 1, 0)[:, None]):.2f}")
enlarged = given.repeat(a.side, 2).repeat(a.side, 3)
heads = ["truth", "given"] + [f"sample {i + 1}" for i in range(4)]
figure, axes = plt.subplots(a.rows, 6, figsize=(6.2, 1.05 * a.rows + 0.25), squeeze=False)
for row in range(a.rows):
    for axis, picture, head in zip(axes[row], [truths[row], enlarged[row], *drawn[row]], heads):
        axis.axis("off")
        shown = np.clip(picture / 255, 0, 1).transpose(1, 2, 0)
        axis.imshow(shown[..., 0] if shown.shape[2] == 1 else shown[..., :3], cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        if row == 0:
            axis.set_title(head, fontsize=8)
figure.subplots_adjust(left=0.005, right=0.995, top=1 - 0.22 / (1.05 * a.rows + 0.25), bottom=0.005, wspace=0.04, hspace=0.04)
figure.savefig(a.output, dpi=100)
