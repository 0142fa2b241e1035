"""The training step of TRADE in JAX: a peer that our own step is measured against.

The flow, the batch and the operations of `torch_step.py` at the published settings of the multi-well,
written as one would for JAX: pure functions, each operation one `jax.jit` program with its state
donated, `∂_T log p` by `jax.jvp`. A bin is chosen by masks and sums, which was faster here than
`jnp.take_along_axis`.

Prints one JSON line per operation, with the seconds that the first call took to compile (`compile_s`),
and one with the peak memory; `--check` tests the flow instead.
"""

import argparse
import json
import math
import os
import resource
import statistics
import sys
import time

DIM, BLOCKS, HIDDEN, BINS, BATCH = 5, 15, 256, 8, 512
LEARNING_RATE, CLIP_NORM, CONTROLS = 2e-4, 3.0, (0.4, 1.1)
FIRST, SECOND = 2, 3
WIDTH = 3 * BINS + 1


def arguments():
    """The command line; cores are taken before JAX starts its threads."""
    parser = argparse.ArgumentParser(description="The TRADE training step in JAX.")
    parser.add_argument("--settings", choices=["multi-well"], default="multi-well")
    parser.add_argument("--threads", type=int, default=1, help="cores that the process may use")
    parser.add_argument("--repeats", type=int, default=9, help="timed repeats, at least 7")
    parser.add_argument("--operations", nargs="+", help="these alone, as for the memory of one")
    parser.add_argument("--check", action="store_true", help="test the flow, measure nothing")
    found = parser.parse_args()
    if found.repeats < 7 or found.threads < 1:
        parser.error("at least 7 repeats and 1 thread")
    return found


ARGUMENTS = arguments()
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: ARGUMENTS.threads])
os.environ["JAX_PLATFORMS"] = "cpu"

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402


def spline(x, raw, inverse):
    """The rational-quadratic spline with a learned domain and linear tails, as in `torch_flow.py`.

    `x`: `[n, d]`; `raw`: `[n, d (3 bins + 1)]`. Returns the transformed `[n, d]` and
    `log |dy/dx|` summed over entries, `[n]`; both of the inverse map if `inverse`.
    """
    n, d = x.shape
    k = BINS
    raw = raw.reshape(n, d, WIDTH)
    offset = math.log(math.expm1(6.0 / k - 0.1))
    steps = 0.1 + jax.nn.softplus(raw[..., : 2 * k] + offset)
    w_all, h_all = steps[..., :k], steps[..., k:]
    bottom, left = raw[..., 2 * k] - 3.0, raw[..., 2 * k + 1] - 3.0
    zero = jnp.zeros((n, d, 1), x.dtype)
    x_all = left[..., None] + jnp.concatenate((zero, jnp.cumsum(w_all, -1)), -1)
    y_all = bottom[..., None] + jnp.concatenate((zero, jnp.cumsum(h_all, -1)), -1)
    end = h_all.sum(-1) / w_all.sum(-1)
    inner = jax.nn.softplus(raw[..., 2 * k + 2 :] + math.log(math.e - 1))
    slopes = jnp.concatenate((end[..., None], inner, end[..., None]), -1)

    along = y_all if inverse else x_all
    above = x[..., None] > along
    inside = above[..., 0] & ~above[..., k]
    # The bin whose left knot is passed and whose right one is not; the first for tails.
    here = jnp.where(inside[..., None], above[..., :k] & ~above[..., 1:], jnp.arange(k) == 0)
    at = lambda a: jnp.where(here, a, 0.0).sum(-1)
    x0, y0, w, h = at(x_all[..., :k]), at(y_all[..., :k]), at(w_all), at(h_all)
    d0, d1 = at(slopes[..., :k]), at(slopes[..., 1:])
    s = h / w
    e = d0 + d1 - 2.0 * s
    # Outside the knots the formulas see a harmless point, so that no NaN reaches a gradient.
    if inverse:
        up = jnp.where(inside, x - y0, 0.5 * h)
        b = h * d0 - up * e
        a = h * s - b
        c = -s * up
        xi = 2.0 * c / (-b - jnp.sqrt(jnp.maximum(b * b - 4.0 * a * c, 0.0)))
        out = jnp.where(inside, x0 + w * xi, left + (x - bottom) / end)
    else:
        xi = jnp.where(inside, (x - x0) / w, 0.5)
    rest = 1.0 - xi
    middle = xi * rest
    ratio = s / (s + e * middle)
    slope = ratio**2 * (d1 * xi**2 + 2.0 * s * middle + d0 * rest**2)
    if not inverse:
        inner = y0 + w * ratio * xi * (s * xi + d0 * rest)
        out = jnp.where(inside, inner, bottom + end * (x - left))
    log_det = jnp.log(jnp.where(inside, slope, end)).sum(1)
    return out, -log_det if inverse else log_det


def conditioner(net, x):
    """`in → H → H → out` with SiLU."""
    for weight, bias in net[:-1]:
        x = jax.nn.silu(x @ weight + bias)
    weight, bias = net[-1]
    return x @ weight + bias


def initial(key):
    """The parameters of the flow, as `torch.nn.Linear` draws them, last biases zero."""

    def network(key, inputs, outputs):
        widths, net = [inputs, HIDDEN, HIDDEN, outputs], []
        for i, key in enumerate(jax.random.split(key, 3)):
            a, b = jax.random.split(key)
            bound = widths[i] ** -0.5
            weight = jax.random.uniform(a, (widths[i], widths[i + 1]), minval=-bound, maxval=bound)
            bias = jax.random.uniform(b, (widths[i + 1],), minval=-bound, maxval=bound)
            net.append((weight, bias * (i < 2)))
        return net

    keys = jax.random.split(key, 2 * BLOCKS + 1)
    couplings = [
        (network(a, SECOND + 1, FIRST * WIDTH), network(b, FIRST + 1, SECOND * WIDTH))
        for a, b in zip(keys[:BLOCKS], keys[BLOCKS : 2 * BLOCKS])
    ]
    return couplings, network(keys[-1], 1, 2 * DIM)


ORDERS = [np.random.default_rng(i).permutation(DIM) for i in range(BLOCKS)]


def affine_maps(flow, t):
    scale, shift = jnp.split(conditioner(flow[1], t), 2, 1)
    return 2.0 * 0.636 * jnp.arctan(scale), shift


def base_log_prob(z, t):
    return -0.5 * (z**2 / t + jnp.log(2.0 * math.pi * t)).sum(1)


def to_latent(flow, x, t):
    """The couplings alone: their image and its log determinant."""
    c, total = jnp.log(t), 0.0
    for (first, second), order in zip(flow[0], ORDERS):
        u, v = x[:, :FIRST], x[:, FIRST:]
        u, a = spline(u, conditioner(first, jnp.concatenate((v, c), 1)), False)
        v, b = spline(v, conditioner(second, jnp.concatenate((u, c), 1)), False)
        x, total = jnp.concatenate((u, v), 1)[:, order], total + a + b
    return x, total


def log_prob(flow, x, t):
    """`log p(x|T)`, `[n]`, of states `[n, dim]` at temperatures `[n, 1]`."""
    z, total = to_latent(flow, x, t)
    log_scale, shift = affine_maps(flow, t)
    return base_log_prob(z * jnp.exp(log_scale) + shift, t) + log_scale.sum(1) + total


def sample(flow, key, t):
    """States at temperatures `[n, 1]` and their `log p` from the same pass."""
    z = jax.random.normal(key, (len(t), DIM), t.dtype) * jnp.sqrt(t)
    log_scale, shift = affine_maps(flow, t)
    log_p = base_log_prob(z, t) + log_scale.sum(1)
    x, c = (z - shift) * jnp.exp(-log_scale), jnp.log(t)
    for (first, second), order in reversed(list(zip(flow[0], ORDERS))):
        x = x[:, np.argsort(order)]
        u, v = x[:, :FIRST], x[:, FIRST:]
        v, b = spline(v, conditioner(second, jnp.concatenate((u, c), 1)), True)
        u, a = spline(u, conditioner(first, jnp.concatenate((v, c), 1)), True)
        x, log_p = jnp.concatenate((u, v), 1), log_p - a - b
    return x, log_p


def derivative(flow, x, t):
    """`∂_T log p(x|T)`, `[n]`, carried forward."""
    return jax.jvp(lambda t: log_prob(flow, x, t), (t,), (jnp.ones_like(t),))[1]


def target(x, t):
    """`−u(x)/T` with `u(x) = Σ_i (x_i⁴ − 4 x_i²)`, and its derivative in `T`, each `[n]`."""
    u, t = (x**2 * (x**2 - 4.0)).sum(1), t[:, 0]
    return -u / t, u / t**2


def smooth_l1(difference, beta=5e-4):
    size = jnp.abs(difference)
    return jnp.where(size < beta, 0.5 * size**2 / beta, size - 0.5 * beta).mean()


def adam(state, gradient):
    """One step of Adam after the gradient has been clipped to its norm."""
    flow, first, second, step = state
    norm = jnp.sqrt(sum((g**2).sum() for g in jax.tree.leaves(gradient)))
    factor = jnp.minimum(1.0, CLIP_NORM / (norm + 1e-6))
    gradient = jax.tree.map(lambda g: g * factor, gradient)
    step = step + 1
    first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, gradient)
    second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g**2, second, gradient)
    a, b = 1.0 - 0.9**step, 1.0 - 0.999**step
    move = lambda p, m, v: p - LEARNING_RATE * (m / a) / (jnp.sqrt(v / b) + 1e-8)
    return jax.tree.map(move, flow, first, second), first, second, step


def nll_step(state, key, data):
    loss = lambda flow: -log_prob(flow, data, jnp.ones((BATCH, 1))).mean()
    return adam(state, jax.grad(loss)(state[0]))


def trade_step(state, key, data):
    for_c, for_x = jax.random.split(key)
    low, high = CONTROLS
    c = jnp.broadcast_to(jax.random.uniform(for_c, (1, 1), minval=low, maxval=high), (BATCH, 1))
    x, log_p = sample(state[0], for_x, c)
    log_q, score = target(x, c)
    wanted = score - jax.nn.softmax(log_q - log_p) @ score

    def loss(flow):
        nll = -log_prob(flow, data, jnp.ones((BATCH, 1))).mean()
        return nll + smooth_l1(derivative(flow, x, c) - wanted)

    return adam(state, jax.grad(loss)(state[0]))


def check():
    """Whether inverse, density and derivative agree with each other, in double precision."""
    jax.config.update("jax_enable_x64", True)
    keys = jax.random.split(jax.random.key(0), 4)
    flow = jax.tree.map(
        lambda p: p.astype(jnp.float64) + 0.02 * jax.random.normal(keys[0], p.shape), initial(keys[1])
    )
    low, high = CONTROLS
    t = jax.random.uniform(keys[2], (64, 1), jnp.float64, low, high)
    x, log_p = sample(flow, keys[3], t)
    step = 1e-5
    # Four times as far out, so that some states are in tails.
    far = 4.0 * x
    differences = (log_prob(flow, far, t + step) - log_prob(flow, far, t - step)) / (2.0 * step)
    found = derivative(flow, far, t)
    jacobian = lambda x, t: jax.jacrev(lambda x: to_latent(flow, x[None], t[None])[0][0])(x)
    log_det = jnp.linalg.slogdet(jax.vmap(jacobian)(far, t))[1]
    errors = {
        "sample log-prob": (jnp.abs(log_p - log_prob(flow, x, t)), 1e-8),
        "log-det": (jnp.abs(log_det - to_latent(flow, far, t)[1]), 1e-8),
        "derivative": (jnp.abs(found - differences) / (1.0 + jnp.abs(found)), 1e-5),
    }
    for name, (error, bound) in errors.items():
        print(f"{name}: {error.max():.1e} (bound {bound:.0e})", file=sys.stderr)
    return all(bool((error <= bound).all()) for error, bound in errors.values())


def operations():
    """The measured operations by name: each takes a key and returns arrays to wait for."""
    key = jax.random.key(0)
    signs = jnp.sign(jax.random.normal(key, (BATCH, DIM)))
    data = math.sqrt(2.0) * signs + 0.25 * jax.random.normal(jax.random.key(1), (BATCH, DIM))
    ones = jnp.ones((BATCH, 1))

    def training(step):
        flow = initial(jax.random.key(2))
        zero = lambda: jax.tree.map(jnp.zeros_like, flow)
        state = [(flow, zero(), zero(), jnp.zeros(()))]
        compiled = jax.jit(step, donate_argnums=0)

        def run(key):
            state[0] = compiled(state[0], key, data)
            return state[0]

        return run

    flow = initial(jax.random.key(2))
    draw = jax.jit(lambda flow, key: sample(flow, key, 0.7 * ones))
    density = jax.jit(log_prob)
    return {
        "nll-step": training(nll_step),
        "sample": lambda key: draw(flow, key),
        "log-prob": lambda key: density(flow, data, ones),
        "trade-step": training(trade_step),
    }


def main():
    """Checks or measures."""
    if ARGUMENTS.check:
        sys.exit(0 if check() else 1)
    run = {
        "peer": "jax",
        "version": jax.__version__,
        "settings": ARGUMENTS.settings,
        "threads": ARGUMENTS.threads,
        "compiled": True,
        "device": "cpu",
    }
    available = operations()
    chosen = ARGUMENTS.operations or list(available)
    if unknown := set(chosen) - set(available):
        sys.exit(f"no such operation: {', '.join(sorted(unknown))}")
    for name in chosen:
        times, processor = [], []
        for repeat in range(3 + ARGUMENTS.repeats):
            key = jax.random.key(repeat)
            start, spent = time.perf_counter(), time.process_time()
            jax.block_until_ready(available[name](key))
            times.append(1e3 * (time.perf_counter() - start))
            processor.append(1e3 * (time.process_time() - spent))
        first, times = times[0], times[3:]
        spread = {"milliseconds": statistics.median(times), "min": min(times), "max": max(times)}
        spread["cpu_milliseconds"] = statistics.median(processor[3:])
        print(json.dumps(run | {"operation": name, "compile_s": first / 1e3} | spread), flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(run | {"operation": "peak-memory", "mebibytes": peak}))


if __name__ == "__main__":
    main()
