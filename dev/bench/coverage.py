#!/usr/bin/env python3
"""How often the truth lies in 90 % intervals, and how good samples are: rows of the table in docs/inverse-problems.md.

    dev/bench/coverage.py --binary scorefield --model RUN --data DATA#test
    dev/bench/coverage.py --binary scorefield --model RUN --examples 32 --own        # of the model's own samples

Every task that the model can be asked, by every rule. With `--own` the truth is drawn from the model itself: what is then missing is the rule's
and the solver's, not the model's.
"""
import argparse, json, pathlib, subprocess, sys, tempfile

p = argparse.ArgumentParser()
p.add_argument("--binary", required=True)
p.add_argument("--model", required=True)
p.add_argument("--data")
p.add_argument("--own", action="store_true")
p.add_argument("--examples", type=int, default=16)
p.add_argument("--steps", type=int, default=50)
p.add_argument("--range", type=float, default=255, help="of natural values; the noise below is of 255")
p.add_argument("--tasks", default="hole,small,blur,projections,colour,two")
p.add_argument("--rules", default="mmps,pigdm,ddnm")
p.add_argument("--more", default="", help="further arguments, as one text")
a = p.parse_args()

noise = lambda of: ["--noise", str(of * a.range / 255)]
TASKS = {
    "hole": ("the middle hidden", ["--task", "inpaint", "--mask", "around"]),
    "small": ("4 x smaller", ["--task", "super-resolution:factor=4"]),
    "blur": ("blurred (1.5 pixels), noise 5", ["--task", "deblur:sigma=1.5", *noise(5)]),
    "projections": ("a tenth of projections, noise 5", ["--task", "compressed-sensing:share=0.1", *noise(5)]),
    "colour": ("colour from grey, noise 2", ["--task", "colourise", *noise(2)]),
    "two": ("4 x smaller, and grey, noise 2", ["--task", "super-resolution:factor=4", "--task", "colourise", *noise(2)]),
}


def call(*arguments):
    done = subprocess.run([a.binary, *map(str, arguments), "-q", "--json"], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    return json.loads(done.stdout)


with tempfile.TemporaryDirectory() as folder:
    data = a.data
    if a.own:
        data = f"{folder}/own.npy"
        call("sample", a.model, "-n", a.examples, "--steps", 250, "--solver", "ddpm", "--class", "none", "--seed", 77, "-o", data)
    print("| task | rule | examples | 90 % intervals hold | PSNR of samples, of their mean | SSIM | consistency (noise) | seconds |")
    print("|---|---|---|---|---|---|---|---|")
    for task in a.tasks.split(","):
        name, arguments = TASKS[task]
        for rule in a.rules.split(";" if ";" in a.rules else ","):
            try:
                r = call("solve", a.model, "--calibrate", data, "--examples", a.examples, "--rule", rule, "--steps", a.steps,
                         *arguments, *a.more.split())
            except RuntimeError as error:
                print(f"{name}, {rule}: {error}", file=sys.stderr)
                continue
            two = lambda key, digits: f"{r[key]:.{digits}f}, {r[key + '_of_mean']:.{digits}f}"
            print(f"| {name} | `{rule}` | {r['examples']} | {100 * r['coverage_90']:.1f} +- {100 * r['coverage_90_error']:.1f} % | "
                  f"{two('psnr', 1)} | {two('ssim', 2)} | {r['consistency']:.2f} ({r['noise']:.2f}) | {r['seconds']:.0f} |", flush=True)
