"""The training step of TRADE in PyTorch: the peer that our own step is measured against.

What one would write for PyTorch at the published settings of an experiment: autograd, the fused
Adam, sampling without gradients. `∂_T log p` comes from `torch.autograd.grad(create_graph=True)`,
which was faster here than `torch.func.jvp` and `torch.autograd.forward_ad`; one pass over data and
samples together was slower than two. `--compile` is for the stricter comparison: fused splines, and
value and tangent carried forward. It needs a C++ compiler and minutes to warm up.

Prints one JSON line per operation and one with the peak memory; `--check` tests the flow instead.
"""

import argparse
import json
import math
import resource
import statistics
import sys
import time
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from torch_flow import Flow, compile_splines


@dataclass(frozen=True)
class Settings:
    """The published settings of one experiment."""

    dim: int
    blocks: int
    hidden: int
    bins: int
    batch: int
    learning_rate: float
    clip_norm: float
    smooth_l1: float
    temperatures: tuple[float, float]


SETTINGS = {
    "multi-well": Settings(
        dim=5, blocks=15, hidden=256, bins=8, batch=512, learning_rate=2e-4, clip_norm=3.0,
        smooth_l1=5e-4, temperatures=(0.4, 1.1),
    )
}  # fmt: skip


def multi_well_energy(x):
    """`u(x) = Σ_i (x_i⁴ − 4 x_i²)`, `[n]`."""
    return (x.square() * (x.square() - 4.0)).sum(1)


def multi_well_data(n):
    """States near the modes `±√2`, as wide as the wells at `T = 1`, `[n, dim]`."""
    dim = SETTINGS["multi-well"].dim
    return math.sqrt(2.0) * torch.randn(n, dim).sign() + 0.25 * torch.randn(n, dim)


def operations(settings):
    """The measured operations by name, all on one flow."""
    data = multi_well_data(settings.batch)
    base_t = torch.ones(settings.batch, 1)
    flow = Flow(settings)
    adam = torch.optim.Adam(flow.parameters(), lr=settings.learning_rate, fused=True)

    def update(loss):
        adam.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(flow.parameters(), settings.clip_norm)
        adam.step()

    def temperature():
        return torch.empty(1, 1).uniform_(*settings.temperatures).repeat(settings.batch, 1)

    def nll():
        return -flow(data, base_t).mean()

    @torch.no_grad()
    def sample():
        return flow.sample(temperature())

    @torch.no_grad()
    def log_prob():
        return flow(data, base_t)

    def trade_step():
        t = temperature()
        with torch.no_grad():
            x, log_p = flow.sample(t)
            u = multi_well_energy(x)
            weights = torch.softmax(-u / t[0, 0] - log_p, 0)
            score = u / t[0, 0].square()
            target = score - weights @ score
        residual = F.smooth_l1_loss(flow.derivative(x, t), target, beta=settings.smooth_l1)
        update(nll() + residual)

    return {
        "nll-step": lambda: update(nll()),
        "sample": sample,
        "log-prob": log_prob,
        "trade-step": trade_step,
    }


def check(settings):
    """Whether inverse, density and derivative agree with each other, in float64."""
    torch.set_default_dtype(torch.float64)
    flow = Flow(settings)
    with torch.no_grad():
        # Away from the start, where the last biases are zero, and so that some states are in tails.
        for name, parameter in flow.named_parameters():
            if name.endswith("bias"):
                parameter.add_(0.2 * torch.randn_like(parameter))
        t = torch.empty(64, 1).uniform_(*settings.temperatures)
        x, log_prob = flow.sample(t)
        z, c, far = x * 4.0, t.log(), x * 4.0
        for coupling in flow.couplings:
            z, _ = coupling(z, c)
        for coupling in reversed(flow.couplings):
            z, _ = coupling.inverse(z, c)
        step = 1e-5
        differences = (flow(far, t + step) - flow(far, t - step)) / (2.0 * step)
    derivative = flow.derivative(far, t).detach()
    # The first block's Jacobian, state by state.
    block = flow.couplings[0]
    each = lambda x, c: block(x[None], c[None])[0][0]
    jacobian = torch.stack([torch.func.jacrev(each)(x, c) for x, c in zip(far, c)])
    errors = {
        # Looser than for a layer: every block multiplies the rounding by its slopes.
        "inverse": ((z - far).abs() / (1.0 + far.abs()), 1e-8),
        "sample log-prob": ((log_prob - flow(x, t)).abs(), 1e-8),
        "log-det": ((jacobian.slogdet()[1] - block(far, c)[1]).abs(), 1e-9),
        "derivative": ((derivative - differences).abs() / (1.0 + derivative.abs()), 1e-5),
    }
    for name, (error, bound) in errors.items():
        print(f"{name}: {error.max().item():.1e} (bound {bound:.0e})", file=sys.stderr)
    return all(bool((error <= bound).all()) for error, bound in errors.values())


def main():
    """Parses the command line, then checks or measures."""
    parser = argparse.ArgumentParser(description="The TRADE training step in PyTorch.")
    parser.add_argument("--settings", choices=SETTINGS, default="multi-well")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=7, help="timed repeats, at least 7")
    parser.add_argument("--operations", nargs="+", help="these alone, as for the memory of one")
    parser.add_argument("--compile", action="store_true", help="hand the splines to torch.compile")
    parser.add_argument("--check", action="store_true", help="test the flow, measure nothing")
    arguments = parser.parse_args()
    if arguments.repeats < 7 or arguments.threads < 1:
        parser.error("at least 7 repeats and 1 thread")
    torch.set_num_threads(arguments.threads)
    torch.set_num_interop_threads(1)
    torch.manual_seed(0)
    if arguments.compile:
        compile_splines()
    settings = SETTINGS[arguments.settings]
    if arguments.check:
        sys.exit(0 if check(settings) else 1)

    run = {
        "peer": "torch",
        "version": torch.__version__,
        "settings": arguments.settings,
        "threads": arguments.threads,
        "compiled": arguments.compile,
    }
    available = operations(settings)
    chosen = arguments.operations or list(available)
    if unknown := set(chosen) - set(available):
        parser.error(f"no such operation: {', '.join(sorted(unknown))}")
    for name in chosen:
        times = []
        for repeat in range(2 + arguments.repeats):
            start = time.perf_counter()
            available[name]()
            if repeat >= 2:
                times.append(1e3 * (time.perf_counter() - start))
        spread = {"milliseconds": statistics.median(times), "min": min(times), "max": max(times)}
        print(json.dumps(run | {"operation": name} | spread), flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(run | {"operation": "peak-memory", "mebibytes": peak}))


if __name__ == "__main__":
    main()
