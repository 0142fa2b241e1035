"""The training step of TRADE in PyTorch: the peer that our own step is measured against.

What one would write for PyTorch at the published settings of an experiment: autograd, the fused
Adam, sampling without gradients. `∂_T log p` comes from `torch.autograd.grad(create_graph=True)`,
which was faster here than `torch.func.jvp` and `torch.autograd.forward_ad`; one pass over data and
samples together was slower than two. `--compile` is for the stricter comparison: fused splines, and
value and tangent carried forward. It needs a C++ compiler and minutes to warm up. `--device cuda`
measures on a card; `--graphs` then replays each operation as one CUDA graph.

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
from torch_lattice import LatticeFlow, action_parts, moved


@dataclass(frozen=True)
class Settings:
    """What the published settings of all experiments have in common."""

    dim: int
    bins: int
    batch: int
    samples: int
    learning_rate: float
    clip_norm: float
    controls: tuple[float, float]
    blocks: int = 0
    hidden: int = 0


class MultiWell:
    """The five-dimensional multi-well; the control parameter is the temperature."""

    settings = Settings(
        dim=5, blocks=15, hidden=256, bins=8, batch=512, samples=512, learning_rate=2e-4,
        clip_norm=3.0, controls=(0.4, 1.1),
    )  # fmt: skip
    flow = Flow

    def data(self, n):
        """States near the modes `±√2`, as wide as the wells at `T = 1`, and their `T`."""
        dim = self.settings.dim
        x = math.sqrt(2.0) * torch.randn(n, dim).sign() + 0.25 * torch.randn(n, dim)
        return x, torch.ones(n, 1)

    def log_density(self, x, t):
        """`−u(x)/T` with `u(x) = Σ_i (x_i⁴ − 4 x_i²)`, and its derivative in `T`, each `[n]`."""
        u, t = (x.square() * (x.square() - 4.0)).sum(1), t.squeeze(1)
        return -u / t, u / t.square()

    def evaluation_points(self, x):
        return x

    def penalty(self, derivative, target):
        return F.smooth_l1_loss(derivative, target, beta=5e-4)


class Lattice:
    """The φ⁴ lattice; the control parameter is the hopping parameter κ."""

    settings = Settings(
        dim=64, bins=10, batch=1024, samples=2048, learning_rate=2.3e-4, clip_norm=1000.0,
        controls=(0.22, 0.32),
    )  # fmt: skip
    flow = LatticeFlow
    side, coupling, blur = 8, 0.02, 0.38

    def data(self, n):
        """Fields as wide as those of the lattice, half at each base condition."""
        kappa = torch.tensor([0.25, 0.29]).repeat_interleave(n // 2).unsqueeze(1)
        return torch.randn(n, self.settings.dim), kappa

    def log_density(self, x, kappa):
        """`−S(φ)` and its derivative in κ, each `[n]`."""
        square, quartic, hop = action_parts(x, self.side)
        minus = 2.0 * kappa.squeeze(1) * hop - (1.0 - 2.0 * self.coupling) * square
        return minus - self.coupling * quartic, 2.0 * hop

    def evaluation_points(self, x):
        return moved(x, self.side) + self.blur * torch.randn_like(x)

    def penalty(self, derivative, target):
        return F.huber_loss(derivative, target, delta=6.87)


PROBLEMS = {"multi-well": MultiWell(), "lattice": Lattice()}

# Rows that `sample` and `log-prob` are timed with.
ROWS = 512


def operations(problem, graphs=False):
    """The measured operations by name, all on one flow; `graphs` if they are to be captured."""
    settings = problem.settings
    data, base = problem.data(settings.batch)
    flow = problem.flow(settings)
    adam = torch.optim.Adam(
        flow.parameters(), lr=settings.learning_rate, fused=True, capturable=graphs
    )

    def update(loss):
        # A graph writes into the gradients it was captured with.
        adam.zero_grad(set_to_none=not graphs)
        loss.backward()
        nn.utils.clip_grad_norm_(flow.parameters(), settings.clip_norm)
        adam.step()

    def control(n):
        return torch.empty(1, 1).uniform_(*settings.controls).repeat(n, 1)

    def nll():
        return -flow(data, base).mean()

    @torch.no_grad()
    def sample():
        return flow.sample(control(ROWS))

    @torch.no_grad()
    def log_prob():
        return flow(data[:ROWS], base[:ROWS])

    def trade_step():
        c = control(settings.samples)
        with torch.no_grad():
            x, log_p = flow.sample(c)
            log_q, score = problem.log_density(x, c)
            expectation = torch.softmax(log_q - log_p, 0) @ score
            x = problem.evaluation_points(x)
            target = problem.log_density(x, c)[1] - expectation
        update(nll() + problem.penalty(flow.derivative(x, c), target))

    return {
        "nll-step": lambda: update(nll()),
        "sample": sample,
        "log-prob": log_prob,
        "trade-step": trade_step,
    }


def captured(operation):
    """The operation as one CUDA graph, after the warm-up on a stream of its own that capturing needs.

    Random numbers are drawn anew in each replay; what is decided on the host, such as the shift of
    the lattice's fields, stays that of the capture.
    """
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            operation()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        operation()
    return graph.replay


def check_lattice(problem):
    """Whether inverse, density and derivative of the lattice flow agree, in float64."""
    torch.set_default_dtype(torch.float64)
    flow = problem.flow(problem.settings)
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        kappa = torch.empty(16, 1).uniform_(*problem.settings.controls)
        x, log_prob = flow.sample(kappa)
        step = 1e-6
        differences = (flow(x, kappa + step) - flow(x, kappa - step)) / (2.0 * step)
    derivative = flow.derivative(x, kappa).detach()
    return {
        "sample log-prob": ((log_prob - flow(x, kappa)).abs(), 1e-7),
        "derivative": ((derivative - differences).abs() / (1.0 + derivative.abs()), 1e-5),
    }


def check_multi_well(problem):
    """Whether inverse, density and derivative agree with each other, in float64."""
    torch.set_default_dtype(torch.float64)
    settings = problem.settings
    flow = Flow(settings)
    with torch.no_grad():
        # Away from the start, where the last biases are zero, and so that some states are in tails.
        for name, parameter in flow.named_parameters():
            if name.endswith("bias"):
                parameter.add_(0.2 * torch.randn_like(parameter))
        t = torch.empty(64, 1).uniform_(*settings.controls)
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
    return {
        # Looser than for a layer: every block multiplies the rounding by its slopes.
        "inverse": ((z - far).abs() / (1.0 + far.abs()), 1e-8),
        "sample log-prob": ((log_prob - flow(x, t)).abs(), 1e-8),
        "log-det": ((jacobian.slogdet()[1] - block(far, c)[1]).abs(), 1e-9),
        "derivative": ((derivative - differences).abs() / (1.0 + derivative.abs()), 1e-5),
    }


def check(problem):
    """Prints what a flow's own check finds, and whether it is within its bounds."""
    errors = (check_lattice if problem.flow is LatticeFlow else check_multi_well)(problem)
    for name, (error, bound) in errors.items():
        print(f"{name}: {error.max().item():.1e} (bound {bound:.0e})", file=sys.stderr)
    return all(bool((error <= bound).all()) for error, bound in errors.values())


def main():
    """Parses the command line, then checks or measures."""
    parser = argparse.ArgumentParser(description="The TRADE training step in PyTorch.")
    parser.add_argument("--settings", choices=PROBLEMS, default="multi-well")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=7, help="timed repeats, at least 7")
    parser.add_argument("--operations", nargs="+", help="these alone, as for the memory of one")
    parser.add_argument("--compile", action="store_true", help="hand the splines to torch.compile")
    parser.add_argument("--check", action="store_true", help="test the flow, measure nothing")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--graphs", action="store_true", help="replay operations as CUDA graphs")
    arguments = parser.parse_args()
    on_card = arguments.device.startswith("cuda")
    if arguments.graphs and not on_card:
        parser.error("--graphs needs --device cuda")
    torch.set_default_device(arguments.device)
    if arguments.repeats < 7 or arguments.threads < 1:
        parser.error("at least 7 repeats and 1 thread")
    torch.set_num_threads(arguments.threads)
    torch.set_num_interop_threads(1)
    torch.manual_seed(0)
    if arguments.compile and arguments.settings != "multi-well":
        parser.error("--compile is for multi-well")
    if arguments.compile:
        compile_splines()
    problem = PROBLEMS[arguments.settings]
    if arguments.check:
        sys.exit(0 if check(problem) else 1)

    run = {
        "peer": "torch",
        "version": torch.__version__,
        "settings": arguments.settings,
        "threads": arguments.threads,
        "compiled": arguments.compile,
        "device": arguments.device,
        "graphs": arguments.graphs,
    }
    available = operations(problem, arguments.graphs)
    chosen = arguments.operations or list(available)
    if unknown := set(chosen) - set(available):
        parser.error(f"no such operation: {', '.join(sorted(unknown))}")
    for name in chosen:
        operation = captured(available[name]) if arguments.graphs else available[name]
        times, processor = [], []
        for repeat in range(2 + arguments.repeats):
            start, spent = time.perf_counter(), time.process_time()
            operation()
            if on_card:
                torch.cuda.synchronize()
            if repeat >= 2:
                times.append(1e3 * (time.perf_counter() - start))
                processor.append(1e3 * (time.process_time() - spent))
        spread = {"milliseconds": statistics.median(times), "min": min(times), "max": max(times)}
        spread["cpu_milliseconds"] = statistics.median(processor)
        print(json.dumps(run | {"operation": name} | spread), flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(run | {"operation": "peak-memory", "mebibytes": peak}))


if __name__ == "__main__":
    main()
