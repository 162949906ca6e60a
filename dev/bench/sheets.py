#!/usr/bin/env python3
"""Sheets of `solve` under each other, one row a question, with what was asked beside it.

    dev/bench/sheets.py 'motion blur=out-motion' 'MRI, a third of the lines=out-mri' -o docs/images/operators.png

Every folder holds the answer to one simulated measurement; its sheet is truth, measurement, mean, spread, quantiles, samples. A
measurement that is no picture and has no linear inverse leaves its place empty.
"""
import argparse, json, pathlib

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt

p = argparse.ArgumentParser()
p.add_argument("rows", nargs="+", metavar="LABEL=FOLDER")
p.add_argument("--samples", type=int, default=3)
p.add_argument("-o", "--output", required=True)
a = p.parse_args()

heads = ["truth", "measurement", "mean", "spread", "5 %", "50 %", "95 %"] + [f"sample {i + 1}" for i in range(a.samples)]
figure, axes = plt.subplots(len(a.rows), len(heads), figsize=(1.02 * len(heads) + 1.6, 1.04 * len(a.rows) + 0.3), squeeze=False)
for first, (line, row) in zip([True] + [False] * len(a.rows), zip(axes, a.rows)):
    label, folder = row.rsplit("=", 1)
    folder = pathlib.Path(folder)
    arrays = np.load(folder / "arrays.npz")
    truth = arrays["truth"]
    channels, height, width = truth.shape
    top = 255 if truth.max() > 16 else 16
    low, middle, high = arrays["quantiles"]
    # White of the spread is a quarter of the range.
    spread = np.repeat(np.sqrt((arrays["deviation"] ** 2).mean(0, keepdims=True)) * 4, channels, 0)
    seen = arrays["measurement"]
    task = json.loads((folder / "solve.json").read_text())["task"]
    measured, file = None, folder / "measurement.png"
    last = task.split("+")[-1]
    if file.is_file() and last.startswith("inpaint"):
        # Numbers of what is known: the file has them in their places.
        measured = plt.imread(file)
        measured = (measured[..., :3].transpose(2, 0, 1) if measured.ndim == 3 else measured[None]) * top
    elif file.is_file():
        for c in (channels, 1):
            scale = round((height * width * c / seen.size) ** 0.5)
            if measured is None and seen.size * scale * scale == c * height * width:
                measured = seen.reshape(c, height // scale, width // scale).repeat(scale, 1).repeat(scale, 2)
    if measured is None and not task.startswith("phase"):
        # The shortest picture that gives it: the second cell of the sheet.
        sheet = plt.imread(folder / "sheet.png")
        k = max(1, 56 // max(height, width))
        left = 2 + k * width + 2
        cell = sheet[2 : 2 + k * height : k, left : left + k * width : k]
        measured = (cell[..., :3].transpose(2, 0, 1) if cell.ndim == 3 else cell[None]) * top
    cells = [truth, measured, arrays["mean"], spread, low, middle, high, *arrays["samples"][: a.samples]]
    for axis, picture, head in zip(line, cells, heads):
        axis.axis("off")
        if picture is not None:
            shown = np.clip(picture / top, 0, 1).transpose(1, 2, 0)
            axis.imshow(shown if shown.shape[2] == 3 else shown[..., 0], cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        if first:
            axis.set_title(head, fontsize=8)
    line[0].text(-0.12, 0.5, label, transform=line[0].transAxes, ha="right", va="center", fontsize=8)
figure.subplots_adjust(left=1.55 / (1.02 * len(heads) + 1.6), right=0.995, top=1 - 0.25 / (1.04 * len(a.rows) + 0.3), bottom=0.005, wspace=0.05, hspace=0.05)
figure.savefig(a.output, dpi=110)
