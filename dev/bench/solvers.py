#!/usr/bin/env python3
"""Which solver, how many steps: distance of samples from the data against network evaluations.

    python dev/bench/solvers.py SCOREFIELD MODEL DATA --out docs/images/solvers-digits.png [-n 1500] [--seeds 3]

Runs `scorefield sample` and `scorefield eval` for every solver and budget below on one model and writes a table (Markdown on
stdout), the raw numbers (OUT with .json) and a picture. The budget is of network evaluations; a solver that needs two a step gets
half the steps. Each point is the mean over seeds, its bar the spread between them; the grey band is the distance of the data
from themselves (two halves, scaled as `eval` reports it). Needs matplotlib, and nothing else that Python does not bring.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import tempfile

# name on the picture, --solver, grid or None for the solver's own, evaluations a step
SOLVERS = [
    ("Euler (Karras)", "euler", "karras", 1),
    ("Heun (Karras)", "heun", "karras", 2),
    ("DDIM", "ddim", "log-snr", 1),
    ("DPM-Solver++ 2M", "dpmpp-2m", "log-snr", 1),
    ("DPM-Solver++ 3M", "dpmpp-3m", "log-snr", 1),
    ("UniPC 2", "unipc", "log-snr", 1),
    ("DEIS 3", "deis", "log-snr", 1),
    ("DDPM ancestral", "ddpm", "log-snr", 1),
    ("Euler-Maruyama", "euler-maruyama", "log-snr", 1),
    ("DPM-Solver++ 2M SDE", "dpmpp-2m-sde", "log-snr", 1),
    ("predictor-corrector", "pc", "log-snr", 2),
    ("Euler ancestral", "euler-ancestral", "karras", 1),
]
BUDGETS = [5, 7, 10, 14, 20, 30, 50, 100]


def run(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    return json.loads(done.stdout)


def measure(options, solver, grid, steps, seed, folder):
    out = str(pathlib.Path(folder) / "x.npy")
    command = [options.program, "sample", options.model, "-n", str(options.n), "--solver", solver, "--steps", str(steps)]
    command += ["--grid", grid] if grid else []
    sampled = run(command + ["--seed", str(seed), "-o", out, "--json"])
    scored = run([options.program, "eval", out, options.data, "--features", options.features, "-n", str(options.n), "--json"])
    metric = next(m for m in scored["metrics"] if m["name"] == options.metric)
    return metric["value"], metric["real_vs_real"], sampled.get("evaluations")


def main():
    parse = argparse.ArgumentParser()
    parse.add_argument("program")
    parse.add_argument("model")
    parse.add_argument("data")
    parse.add_argument("--out", required=True)
    parse.add_argument("-n", type=int, default=1500)
    parse.add_argument("--seeds", type=int, default=3)
    parse.add_argument("--features", default="raw")
    parse.add_argument("--metric", default="energy-distance")
    parse.add_argument("--budgets", type=lambda s: [int(v) for v in s.split(",")], default=BUDGETS)
    parse.add_argument("--title", default="")
    options = parse.parse_args()

    rows, real = [], None
    with tempfile.TemporaryDirectory() as folder:
        for name, solver, grid, cost in SOLVERS:
            for budget in options.budgets:
                steps = max(2, round((budget + cost - 1) / cost))
                found = [measure(options, solver, grid, steps, seed, folder) for seed in range(options.seeds)]
                values = [v for v, _, _ in found]
                real = found[0][1]
                spread = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0
                evaluations = found[0][2] or (steps if cost == 1 else cost * (steps - 1) + 1)
                rows.append(dict(name=name, solver=solver, grid=grid, steps=steps, evaluations=evaluations, value=statistics.mean(values), error=spread))
                print(f"{name}: {evaluations} evaluations, {rows[-1]['value']:.4f} +- {spread:.4f}", flush=True, file=__import__("sys").stderr)
    out = pathlib.Path(options.out)
    out.with_suffix(".json").write_text(json.dumps(dict(metric=options.metric, features=options.features, n=options.n, real_vs_real=real, rows=rows), indent=1) + "\n")
    table(options, rows, real)
    draw(options, rows, real, out)


def table(options, rows, real):
    print(f"| solver | " + " | ".join(str(b) for b in options.budgets) + " |")
    print("|---|" + "---|" * len(options.budgets))
    for name in dict.fromkeys(r["name"] for r in rows):
        print(f"| {name} | " + " | ".join(f"{r['value']:.4f}" for r in rows if r["name"] == name) + " |")
    print(f"\nReal against real: {real:.4f}")


def draw(options, rows, real, out):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 5.6), dpi=110)
    names = list(dict.fromkeys(r["name"] for r in rows))
    colours = plt.get_cmap("tab20").colors
    for i, name in enumerate(names):
        mine = [r for r in rows if r["name"] == name]
        stochastic = any(w in name for w in ("ancestral", "Maruyama", "SDE", "corrector"))
        axes.errorbar([r["evaluations"] for r in mine], [r["value"] for r in mine], [r["error"] for r in mine], label=name,
                      color=colours[(2 * i) % 20 + (2 * i) // 20], linestyle="--" if stochastic else "-", marker="o", markersize=3, capsize=2)
    axes.axhline(real, color="grey", linewidth=6, alpha=0.3, label="real against real")
    axes.set(xscale="log", yscale="log", xlabel="network evaluations", ylabel=f"{options.metric.replace('-', ' ')} ({options.features} features)", title=options.title)
    axes.set_xticks(options.budgets, [str(b) for b in options.budgets])
    axes.minorticks_off()
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8, ncol=2)
    figure.tight_layout()
    figure.savefig(out)


if __name__ == "__main__":
    main()
