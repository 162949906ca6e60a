#!/usr/bin/env python3
"""Times a training step of the preset `mlp-vector` (vectors of 16, four residual blocks of width 256) here, in PyTorch and in JAX, in turn.

    cargo build --release
    dev/bench/mlp.py --binary target/release/scorefield --batch 1024 --rounds 5

Each peer runs in its own process (`--peer NAME` is one), so that no thread pool of one stands in the way of another. All train the same
network on noise with DDPM's objective, clip the gradient to norm 1 and step with Adam; ours also keeps two averages of the weights.
"""
import argparse, json, os, statistics, subprocess, sys, time

p = argparse.ArgumentParser()
p.add_argument("--binary", default="target/release/scorefield")
p.add_argument("--python-jax", default=sys.executable, help="an interpreter that has JAX")
p.add_argument("--batch", type=int, default=1024)
p.add_argument("--rounds", type=int, default=5)
p.add_argument("--runs", type=int, default=60)
p.add_argument("--forward", action="store_true", help="a forward pass in place of a training step")
p.add_argument("--compile", action="store_true", help="also torch.compile (needs a C++ compiler)")
p.add_argument("--peer", choices=["torch", "torch-compiled", "jax"])
a = p.parse_args()
D, WIDTH, DEPTH, FEATURES = 16, 256, 4, 32


def timed(step):
    for _ in range(5):
        step()
    times = []
    for _ in range(a.runs):
        begun = time.perf_counter()
        step()
        times.append(time.perf_counter() - begun)
    print(json.dumps({"median_ms": 1e3 * statistics.median(times)}))


def in_torch(compiled):
    import torch
    from torch import nn

    torch.set_num_threads(os.cpu_count())

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.e, self.b = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)

        def forward(self, h, e):
            return h + self.b(nn.functional.silu(self.a(nn.functional.silu(h)) + self.e(e)))

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("w", torch.randn(FEATURES))
            self.t0, self.t1 = nn.Linear(2 * FEATURES, WIDTH), nn.Linear(WIDTH, WIDTH)
            self.first, self.last = nn.Linear(D, WIDTH), nn.Linear(WIDTH, D)
            self.blocks = nn.ModuleList(Block() for _ in range(DEPTH))

        def forward(self, x, t):
            f = 6.2831853 * t[:, None] * self.w
            e = torch.cat([torch.sin(f), torch.cos(f)], 1)
            e = nn.functional.silu(self.t1(nn.functional.silu(self.t0(e))))
            h = self.first(x)
            for block in self.blocks:
                h = block(h, e)
            return self.last(nn.functional.silu(h))

    net = Net()
    x = torch.randn(a.batch, D)
    f = torch.compile(net) if compiled else net
    opt = torch.optim.Adam(net.parameters(), 1e-4)

    def step():
        t, eps = torch.rand(a.batch), torch.randn_like(x)
        s = t[:, None]
        loss = ((f((1 - s).sqrt() * x + s.sqrt() * eps, t) - eps) ** 2).mean()
        opt.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        opt.step()

    def forward():
        with torch.no_grad():
            f(x, torch.full((a.batch,), 0.5))

    timed(forward if a.forward else step)


def in_jax():
    import jax, jax.numpy as jnp

    key = jax.random.PRNGKey(0)

    def linear(k, i, o):
        return {"w": jax.random.normal(k, (i, o)) / i**0.5, "b": jnp.zeros(o)}

    keys = iter(jax.random.split(key, 64))
    weights = {
        "t0": linear(next(keys), 2 * FEATURES, WIDTH), "t1": linear(next(keys), WIDTH, WIDTH),
        "first": linear(next(keys), D, WIDTH), "last": linear(next(keys), WIDTH, D),
        "blocks": [[linear(next(keys), WIDTH, WIDTH) for _ in range(3)] for _ in range(DEPTH)],
    }
    w = jax.random.normal(next(keys), (FEATURES,))
    on = lambda l, x: x @ l["w"] + l["b"]

    def net(p, x, t):
        f = 6.2831853 * t[:, None] * w
        e = jnp.concatenate([jnp.sin(f), jnp.cos(f)], 1)
        e = jax.nn.silu(on(p["t1"], jax.nn.silu(on(p["t0"], e))))
        h = on(p["first"], x)
        for l0, le, l1 in p["blocks"]:
            h = h + on(l1, jax.nn.silu(on(l0, jax.nn.silu(h)) + on(le, e)))
        return on(p["last"], jax.nn.silu(h))

    x = jax.random.normal(next(keys), (a.batch, D))

    def loss(p, k):
        kt, ke = jax.random.split(k)
        t, eps = jax.random.uniform(kt, (a.batch,)), jax.random.normal(ke, x.shape)
        s = t[:, None]
        return ((net(p, jnp.sqrt(1 - s) * x + jnp.sqrt(s) * eps, t) - eps) ** 2).mean()

    @jax.jit
    def update(p, m, v, i, k):
        g = jax.grad(loss)(p, k)
        norm = jnp.sqrt(sum(jnp.sum(x * x) for x in jax.tree.leaves(g)))
        g = jax.tree.map(lambda x: x * jnp.minimum(1.0, 1.0 / (norm + 1e-6)), g)
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
        c1, c2 = 1 - 0.9**i, 1 - 0.999**i
        p = jax.tree.map(lambda p, m, v: p - 1e-4 * (m / c1) / (jnp.sqrt(v / c2) + 1e-8), p, m, v)
        return p, m, v, i + 1, jax.random.split(k)[0]

    zeros = jax.tree.map(jnp.zeros_like, weights)
    state = [weights, zeros, zeros, jnp.float32(1), next(keys)]

    def step():
        state[:] = update(*state)
        jax.block_until_ready(state)

    run = jax.jit(net)
    half = jnp.full((a.batch,), 0.5)
    timed((lambda: run(weights, x, half).block_until_ready()) if a.forward else step)


if a.peer:
    in_jax() if a.peer == "jax" else in_torch(a.peer == "torch-compiled")
    sys.exit()

what = "forward" if a.forward else "train"
commands = {
    "scorefield": [a.binary, "bench", "mlp-vector", "--what", what, "--batch", str(a.batch), "--runs", str(a.runs), "--json"],
    "scorefield bf16": [a.binary, "bench", "mlp-vector", "--what", what, "--batch", str(a.batch), "--runs", str(a.runs), "--json",
                        "--precision", "bf16"],
    "torch": [sys.executable, __file__, "--peer", "torch"],
    "torch compiled": [sys.executable, __file__, "--peer", "torch-compiled"],
    "jax jitted": [a.python_jax, __file__, "--peer", "jax"],
}
if not a.compile:
    del commands["torch compiled"]
times = {name: [] for name in commands}
for _ in range(a.rounds):
    for name, command in commands.items():
        if not name.startswith("scorefield"):
            command = command + ["--batch", str(a.batch), "--runs", str(a.runs)] + (["--forward"] if a.forward else [])
        out = subprocess.run(command, capture_output=True, text=True)
        if out.returncode:
            sys.exit(f"{name} failed:\n{out.stderr[-2000:]}")
        times[name].append(json.loads(out.stdout.strip().splitlines()[-1])["median_ms"])
mine = [statistics.median(times[name]) for name in ("scorefield", "scorefield bf16")]
print(f"mlp-vector, batch {a.batch}, {what}, {a.rounds} rounds")
for name, values in times.items():
    median = statistics.median(values)
    print(f"{name:16} {median:8.2f} ms ({min(values):.2f} to {max(values):.2f}), scorefield is {median / mine[0]:.2f} x as fast in f32, "
          f"{median / mine[1]:.2f} x in bf16")
