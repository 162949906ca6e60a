#!/usr/bin/env python3
"""The reverse SDE of a mixture in the plane, ours and the peers in turn: 100,000 samples, 1,000 Euler-Maruyama steps, exact score.

    PYTHON_OF_PEERS dev/bench/sde.py --rounds 5 [--only ours,jax]

Needs torch, torchsde, jax and diffrax from PyPI. Every side uses two threads and single precision; what is compiled is compiled
before its time is taken. One round runs each side once; a side is summed up by the median over the rounds. Ours is
`cargo bench -p scorefield-bench --bench sde`, which times itself.
"""
import argparse, json, math, os, platform, statistics, subprocess, sys, time

os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=true intra_op_parallelism_threads=2")
N, STEPS = int(os.environ.get("SDE_N", 100_000)), 1000
B0, B1 = 0.1, 20.0
WEIGHTS, MEANS, STDS = [0.5, 0.3, 0.2], [[2.0, 0.0], [-1.0, 1.7], [-1.0, -1.7]], [0.3, 0.2, 0.4]
START, END = 1.0, 1e-5


def ours():
    out = subprocess.run(["cargo", "bench", "-q", "-p", "scorefield-bench", "--bench", "sde"], capture_output=True, text=True)
    if out.returncode:
        sys.exit(out.stderr)
    return json.loads(out.stdout.strip().splitlines()[-1])


def torch_score():
    import torch

    w, m, s = torch.tensor(WEIGHTS).log(), torch.tensor(MEANS), torch.tensor(STDS)

    def score(x, t):
        log_alpha = -t * t * (B1 - B0) / 4 - t * B0 / 2
        alpha, var = math.exp(log_alpha), -math.expm1(2 * log_alpha)
        v = alpha * alpha * s * s + var
        diff = x[:, None, :] - alpha * m
        r = torch.softmax(w - diff.square().sum(-1) / (2 * v) - torch.log(v), dim=1)
        return -(r[..., None] * diff / v[:, None]).sum(1)

    return torch, score


def torch_loop():
    torch, score = torch_score()
    h = (START - END) / STEPS
    with torch.no_grad():
        began = time.perf_counter()
        x = torch.randn(N, 2)
        for i in range(STEPS):
            t = START - i * h
            beta = B0 + t * (B1 - B0)
            x = x + (0.5 * beta * x + beta * score(x, t)) * h + math.sqrt(beta * h) * torch.randn(N, 2)
        return time.perf_counter() - began, x.numpy()


def torchsde_run():
    import torchsde

    torch, score = torch_score()

    class Reverse(torch.nn.Module):
        noise_type, sde_type = "diagonal", "ito"

        def f(self, tau, x):
            t = START - float(tau)
            beta = B0 + t * (B1 - B0)
            return 0.5 * beta * x + beta * score(x, t)

        def g(self, tau, x):
            beta = B0 + (START - float(tau)) * (B1 - B0)
            return torch.full_like(x, math.sqrt(beta))

    with torch.no_grad():
        began = time.perf_counter()
        x = torchsde.sdeint(Reverse(), torch.randn(N, 2), torch.tensor([0.0, START - END]), method="euler", dt=(START - END) / STEPS)[-1]
        return time.perf_counter() - began, x.numpy()


def jax_parts():
    import jax, jax.numpy as jnp

    w, m, s = jnp.log(jnp.array(WEIGHTS)), jnp.array(MEANS), jnp.array(STDS)

    def score(x, t):
        log_alpha = -t * t * (B1 - B0) / 4 - t * B0 / 2
        alpha, var = jnp.exp(log_alpha), -jnp.expm1(2 * log_alpha)
        v = alpha * alpha * s * s + var
        diff = x[..., None, :] - alpha * m
        r = jax.nn.softmax(w - (diff**2).sum(-1) / (2 * v) - jnp.log(v), axis=-1)
        return -(r[..., None] * diff / v[:, None]).sum(-2)

    return jax, jnp, score


def jax_scan():
    jax, jnp, score = jax_parts()
    h = (START - END) / STEPS

    @jax.jit
    def run(key):
        start, key = jax.random.split(key)
        x = jax.random.normal(start, (N, 2))

        def step(carry, i):
            x, key = carry
            key, now = jax.random.split(key)
            t = START - i * h
            beta = B0 + t * (B1 - B0)
            x = x + (0.5 * beta * x + beta * score(x, t)) * h + jnp.sqrt(beta * h) * jax.random.normal(now, (N, 2))
            return (x, key), None

        return jax.lax.scan(step, (x, key), jnp.arange(STEPS))[0][0]

    compiled = run.lower(jax.random.PRNGKey(0)).compile()
    began = time.perf_counter()
    x = compiled(jax.random.PRNGKey(1)).block_until_ready()
    return time.perf_counter() - began, jax.device_get(x)


def jax_columns():
    """The same scan with the two entries as rows of [2, n] and the components written out: not how one writes it, but faster."""
    jax, jnp, _ = jax_parts()
    h = (START - END) / STEPS

    def score(x, y, t):
        log_alpha = -t * t * (B1 - B0) / 4 - t * B0 / 2
        alpha, var = jnp.exp(log_alpha), -jnp.expm1(2 * log_alpha)
        parts = []
        for w, (a, b), s in zip(WEIGHTS, MEANS, STDS):
            v = alpha * alpha * s * s + var
            dx, dy = x - alpha * a, y - alpha * b
            parts.append((math.log(w) - (dx * dx + dy * dy) / (2 * v) - jnp.log(v), dx / v, dy / v))
        top = jnp.maximum(jnp.maximum(parts[0][0], parts[1][0]), parts[2][0])
        r = [jnp.exp(p[0] - top) for p in parts]
        total = r[0] + r[1] + r[2]
        return [-sum(r[k] * parts[k][i] for k in range(3)) / total for i in (1, 2)]

    @jax.jit
    def run(key):
        start, key = jax.random.split(key)
        x = jax.random.normal(start, (2, N))

        def step(carry, i):
            x, key = carry
            key, now = jax.random.split(key)
            t = START - i * h
            beta = B0 + t * (B1 - B0)
            x = x + (0.5 * beta * x + beta * jnp.stack(score(x[0], x[1], t))) * h + jnp.sqrt(beta * h) * jax.random.normal(now, (2, N))
            return (x, key), None

        return jax.lax.scan(step, (x, key), jnp.arange(STEPS))[0][0]

    compiled = run.lower(jax.random.PRNGKey(0)).compile()
    began = time.perf_counter()
    x = compiled(jax.random.PRNGKey(1)).block_until_ready()
    return time.perf_counter() - began, jax.device_get(x).T


def diffrax_run(tree):
    import diffrax

    jax, jnp, score = jax_parts()

    def drift(tau, x, _):
        t = START - tau
        beta = B0 + t * (B1 - B0)
        return 0.5 * beta * x + beta * score(x, t)

    def diffusion(tau, x, _):
        return jnp.sqrt(B0 + (START - tau) * (B1 - B0))

    # A ControlTerm multiplies by a matrix; a number times the noise needs a product of its own.
    class Scaled(diffrax.ControlTerm):
        def prod(self, vf, control):
            return vf * control

    @jax.jit
    def run(key):
        start, path = jax.random.split(key)
        x = jax.random.normal(start, (N, 2))
        if tree:
            brownian = diffrax.VirtualBrownianTree(0.0, START - END, tol=(START - END) / STEPS / 2, shape=(N, 2), key=path)
        else:
            brownian = diffrax.UnsafeBrownianPath(shape=(N, 2), key=path)
        terms = diffrax.MultiTerm(diffrax.ODETerm(drift), Scaled(diffusion, brownian))
        out = diffrax.diffeqsolve(terms, diffrax.Euler(), 0.0, START - END, (START - END) / STEPS, x, max_steps=STEPS + 10,
                                  adjoint=diffrax.DirectAdjoint(), saveat=diffrax.SaveAt(t1=True))
        return out.ys[-1]

    compiled = run.lower(jax.random.PRNGKey(0)).compile()
    began = time.perf_counter()
    x = compiled(jax.random.PRNGKey(1)).block_until_ready()
    return time.perf_counter() - began, jax.device_get(x)


def shares(x):
    import numpy as np

    nearest = ((x[:, None, :] - np.array(MEANS)) ** 2).sum(-1).argmin(1)
    return [float((nearest == k).mean()) for k in range(3)]


def main():
    parse = argparse.ArgumentParser()
    parse.add_argument("--rounds", type=int, default=5)
    parse.add_argument("--only", default="")
    options = parse.parse_args()
    import torch

    torch.set_num_threads(2)
    peers = {
        "torch loop": torch_loop,
        "torchsde euler": torchsde_run,
        "jax scan": jax_scan,
        "jax scan, columns": jax_columns,
        "diffrax euler, unsafe path": lambda: diffrax_run(False),
        "diffrax euler, brownian tree": lambda: diffrax_run(True),
    }
    if options.only:
        peers = {k: v for k, v in peers.items() if any(w in k for w in options.only.split(","))}
    times = {}
    for round_ in range(options.rounds):
        found = ours()
        for key in ("plain", "path", "noise", "denoiser"):
            times.setdefault(f"scorefield {key}", []).append(found[key])
        print(round_, "scorefield", found, file=sys.stderr, flush=True)
        for name, run in peers.items():
            if "tree" in name and round_ >= 2:
                continue
            seconds, x = run()
            times.setdefault(name, []).append(seconds)
            print(round_, name, f"{seconds:.2f} s", [f"{s:.3f}" for s in shares(x)], file=sys.stderr, flush=True)
    plain = statistics.median(times["scorefield plain"])
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores; medians, seconds, and their ratio to ours")
    for name, values in times.items():
        middle = statistics.median(values)
        print(f"| {name} | {middle:.2f} ({min(values):.2f} to {max(values):.2f}, {len(values)}) | {middle / plain:.2f} |")


if __name__ == "__main__":
    main()
