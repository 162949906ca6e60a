#!/usr/bin/env python3
"""What each rule of `solve` costs beside sampling without a measurement: seconds in turn, medians over the rounds.

    dev/bench/rules.py --binary target/release/scorefield --model runs/fashion --data fashion.npz --task super-resolution:factor=4

Seconds are those that the program says, with loading the model and writing; evaluations are those of the network, a sample and step.
"""
import argparse, json, statistics, subprocess, tempfile

p = argparse.ArgumentParser()
p.add_argument("--binary", required=True)
p.add_argument("--model", required=True)
p.add_argument("--data", required=True)
p.add_argument("--task", default="super-resolution:factor=4")
p.add_argument("--steps", type=int, default=10)
p.add_argument("-n", type=int, default=64)
p.add_argument("--rounds", type=int, default=5)
p.add_argument("rules", nargs="*")
a = p.parse_args()
rules = a.rules or [
    "ddnm", "diffpir", "ddrm", "projection", "pigdm", "pigdm:jacobian=difference", "dps", "dps:jacobian=difference", "tmpd",
    "tmpd:jacobian=pullback", "mmps:iterations=1", "mmps:iterations=1,jacobian=pullback", "mmps", "mmps:jacobian=pullback", "mmps:iterations=5",
]


def told(arguments):
    with tempfile.TemporaryDirectory() as folder:
        out = subprocess.run([a.binary, *arguments, "-q", "--json", "-o", folder + "/out"], check=True, capture_output=True, text=True)
    return json.loads(out.stdout)


seconds, evaluations = {}, {}
for _ in range(a.rounds):
    plain = told(["sample", a.model, "-n", str(a.n), "--solver", "ddpm", "--steps", str(a.steps), "--class", "none"])
    seconds.setdefault("none", []).append(plain["seconds"])
    evaluations["none"] = plain["evaluations_per_sample"] / a.steps
    for rule in rules:
        ask = ["solve", a.model, a.data + "@0", "--simulate", "--task", a.task, "-n", str(a.n), "--steps", str(a.steps), "--rule", rule]
        said = told(ask)
        seconds.setdefault(rule, []).append(said["seconds"])
        evaluations[rule] = said["evaluations"] / a.steps
base = statistics.median(seconds["none"])
print(f"{a.task}, {a.n} samples, {a.steps} steps, {a.rounds} rounds")
for rule, all in seconds.items():
    median = statistics.median(all)
    print(f"{rule:38} {evaluations[rule]:6.2f} evaluations a step  {median:7.2f} s  {median / base:5.2f} x  ({min(all):.2f} to {max(all):.2f})")
