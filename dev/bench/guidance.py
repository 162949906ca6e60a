#!/usr/bin/env python3
"""Class accuracy against the weight of guidance, with the diversity within classes: digits by several ways of steering.

    scorefield train digits --recipe digits --out model
    scorefield train digits --recipe digits --classifier --steps 900 --out judge
    scorefield train digits --recipe digits --set network.model_channels=16 --set 'network.channel_mult=[1,1]' --steps 300 --out weak
    dev/bench/guidance.py --binary scorefield --model model --judge judge --weak weak -o docs/images/guidance.png

Accuracy is the share of samples whose class three nearest real digits give; diversity is the mean distance between samples of a class, of
which the mean over classes is divided by that of as many real digits.
"""
import argparse, csv, gzip, subprocess, tempfile, time

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt

p = argparse.ArgumentParser()
p.add_argument("--binary", required=True)
p.add_argument("--model", required=True)
p.add_argument("--judge", required=True)
p.add_argument("--weak", required=True)
p.add_argument("--digits", default="crates/data/assets/digits.csv.gz")
p.add_argument("-n", type=int, default=400)
p.add_argument("-o", "--output", default="guidance.png")
a = p.parse_args()

with gzip.open(a.digits, "rt") as file:
    table = np.array([[float(v) for v in row] for row in csv.reader(file)])
real, labels = table[:, :64], table[:, 64].astype(int)


def recognised(rows, leave_out=False):
    distance = ((rows[:, None, :] - real[None]) ** 2).sum(-1)
    order = distance.argsort(1)[:, 1:4] if leave_out else distance.argsort(1)[:, :3]
    return np.array([np.bincount(labels[near], minlength=10).argmax() for near in order])


def spread(rows, classes):
    means = []
    for c in range(10):
        of = rows[classes == c]
        distance = np.sqrt(((of[:, None] - of[None]) ** 2).sum(-1))
        means.append(distance.sum() / (len(of) * (len(of) - 1)))
    return np.mean(means)


weights = [0.5, 1, 1.5, 2, 3, 4, 6]
ways = {
    "classifier-free, D_u + w (D_c - D_u)": lambda w: ["--guidance", w],
    "the same at levels 0.2 to 2": lambda w: ["--guidance", w, "--guidance-interval", "0.2,2"],
    "autoguidance by a weaker model": lambda w: ["--guidance", w, "--guide", a.weak],
    "classifier, D_u + w sigma^2 / alpha grad ln p(c | x)": lambda w: ["--classifier", a.judge, "--classifier-scale", w],
}
share = np.mean(recognised(real, True) == labels)
few = np.concatenate([np.where(labels == c)[0][: a.n // 10] for c in range(10)])
base = spread(real[few], labels[few])
print(f"real digits: accuracy {share:.3f} (left out), distance {base:.2f}")
curves, shown = {}, []
with tempfile.TemporaryDirectory() as folder:
    for name, flags in ways.items():
        for w in weights:
            begun, out = time.time(), f"{folder}/s.npy"
            command = [a.binary, "sample", a.model, "-n", str(a.n), "--class", "each", "-q", "-o", out, "--solver", "dpmpp-2m", "--steps", "16", *flags(str(w))]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            rows = np.load(out).reshape(a.n, 64).astype(float)
            classes = np.arange(a.n) % 10
            accuracy, ratio = np.mean(recognised(rows) == classes), spread(rows, classes) / base
            curves.setdefault(name, []).append((accuracy, ratio))
            print(f"{name:55} w {w:4}: accuracy {accuracy:.3f}, diversity {ratio:.3f}  ({time.time() - begun:.0f} s)", flush=True)
            if name.startswith("classifier-free") and w in (1, 2, 6):
                shown.append((w, rows[:20]))

fig, (left, middle, right) = plt.subplots(1, 3, figsize=(15, 4.6), gridspec_kw={"width_ratios": [4, 4, 4.4]})
for name, points in curves.items():
    left.plot(weights, [q[0] for q in points], "o-", label=name)
    middle.plot(weights, [q[1] for q in points], "o-", label=name)
left.axhline(share, color="grey", linestyle=":", label="real digits, left out")
middle.axhline(1, color="grey", linestyle=":")
left.set_xlabel("weight w")
left.set_ylabel("share recognised as the class asked for")
left.legend(fontsize=7.5, loc="lower right")
middle.set_xlabel("weight w")
middle.set_ylabel("distance within a class, real digits = 1")
# A white line between digits, a wider one between weights.
framed = lambda d: np.pad(d.reshape(8, 8), ((0, 1), (0, 1)))
block = lambda rows: np.vstack([np.hstack([framed(d) for d in rows[k : k + 10]]) for k in (0, 10)])
tiles = np.vstack([np.pad(block(rows), ((0, 6), (0, 0))) for _, rows in shown])
right.imshow(16 - tiles, cmap="gray", vmin=0, vmax=16)
right.set_xticks([])
right.set_yticks([9 + 24 * i for i in range(len(shown))], [f"w = {w}" for w, _ in shown])
right.set_title("classifier-free, two of each class", fontsize=10)
fig.tight_layout()
fig.savefig(a.output, dpi=110)
