"""Training in PyTorch until the flow is good enough: the peer of `trade-bench to-quality`.

The multi-well by continuous TRADE with the settings of a preset of the experiment: the flow and the
losses of `torch_step.py`, the one-cycle learning rate, the ramp of the TRADE term and the widening draw
of temperatures of `experiments/multi-well/`. Every 50 steps the divergence `KL(p‖p_θ)` at `T = 0.5` is
measured on 20000 exact samples. Prints a line of JSON when it is small enough or training is over; its
seconds are those of the training steps alone.
"""

import argparse
import json
import math
import time

import numpy as np
import torch
from torch import nn

from torch_flow import Flow, compile_splines
from torch_step import MultiWell, Settings

PRESETS = {
    "desktop": (dict(blocks=6, hidden=64, batch=256, learning_rate=2e-3), 4000, 80_000),
    "smoke": (dict(blocks=4, hidden=32, batch=128, learning_rate=4e-3), 300, 20_000),
}
RANGE, SKEW, RAMP_FROM = (0.4, 1.1), (0.01, 1.5), 0.2


class Well:
    """One coordinate at temperature `T`, `f ∝ exp(−(x⁴ − 4 x²)/T)`, tabulated in double precision."""

    def __init__(self, temperature):
        self.x = np.linspace(-4.0, 4.0, 200_001)
        self.temperature = temperature
        f = np.exp(self.log_density(self.x))
        cells = 0.5 * (f[1:] + f[:-1]) * np.diff(self.x)
        self.log_z = math.log(cells.sum())
        self.cumulative = np.concatenate(([0.0], cells.cumsum())) / cells.sum()

    def log_density(self, x):
        return -(x**4 - 4.0 * x**2) / self.temperature

    def sample(self, n, rng):
        """States of five coordinates, `[n, 5]`."""
        return np.interp(rng.random((n, 5)), self.cumulative, self.x)

    def log_prob(self, x):
        return (self.log_density(x) - self.log_z).sum(1)


def temperature(progress, rng):
    """A temperature between the base and an end of the range, further out as training goes on."""
    skew = SKEW[0] * (SKEW[1] / SKEW[0]) ** progress
    fraction = 1.0 - rng.random() ** skew
    below, above = (math.log(t) for t in RANGE)
    end = above if rng.random() * (above - below) < above else below
    return math.exp(fraction * end)


def weight(progress):
    """The weight of the TRADE term: none for a fifth of training, then half a cosine."""
    if progress < RAMP_FROM:
        return 0.0
    return 0.5 - 0.5 * math.cos(math.pi * (progress - RAMP_FROM) / (1.0 - RAMP_FROM))


def main():
    """Parses the command line and trains."""
    parser = argparse.ArgumentParser(description="Time to quality in PyTorch.")
    parser.add_argument("--preset", choices=PRESETS, default="desktop")
    parser.add_argument("--divergence", type=float, default=0.01)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--compile", action="store_true", help="hand the splines to torch.compile")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.set_num_interop_threads(1)
    torch.manual_seed(arguments.seed)
    if arguments.compile:
        compile_splines()
    rng = np.random.default_rng(arguments.seed)
    sizes, steps, samples = PRESETS[arguments.preset]
    settings = Settings(
        dim=5, bins=8, samples=sizes["batch"], clip_norm=3.0, controls=RANGE, **sizes
    )  # fmt: skip
    problem = MultiWell()
    data = torch.tensor(Well(1.0).sample(samples, rng), dtype=torch.float32)
    judges = Well(0.5)
    x_judge = judges.sample(20_000, rng)
    truth = judges.log_prob(x_judge).mean()
    x_judge = torch.tensor(x_judge, dtype=torch.float32)
    t_judge = torch.full((len(x_judge), 1), 0.5)

    flow = Flow(settings)
    adam = torch.optim.Adam(flow.parameters(), lr=settings.learning_rate, fused=True)
    rate = torch.optim.lr_scheduler.OneCycleLR(
        adam, settings.learning_rate, total_steps=steps + 1, cycle_momentum=False
    )
    base = torch.ones(settings.batch, 1)

    def loss(x, progress):
        nll = -flow(x, base).mean()
        factor = weight(progress)
        if factor == 0.0:
            return nll
        c = torch.full((settings.batch, 1), temperature(progress, rng))
        with torch.no_grad():
            points, log_p = flow.sample(c)
            log_q, score = problem.log_density(points, c)
            target = score - torch.softmax(log_q - log_p, 0) @ score
        return nll + factor * problem.penalty(flow.derivative(points, c), target)

    order, at, spent, processor = torch.randperm(samples), 0, 0.0, 0.0
    step, kl = 0, math.inf
    while step < steps and kl > arguments.divergence:
        start, before = time.perf_counter(), time.process_time()
        for _ in range(50):
            if at + settings.batch > samples:
                order, at = torch.randperm(samples), 0
            rows = order[at : at + settings.batch]
            at += settings.batch
            adam.zero_grad()
            loss(data[rows], step / steps).backward()
            nn.utils.clip_grad_norm_(flow.parameters(), settings.clip_norm)
            adam.step()
            rate.step()
            step += 1
        spent += time.perf_counter() - start
        processor += time.process_time() - before
        with torch.no_grad():
            kl = truth - flow(x_judge, t_judge).double().mean().item()
    print(
        json.dumps(
            {
                "peer": "torch",
                "operation": "to-quality",
                "settings": arguments.preset,
                "compiled": arguments.compile,
                "threads": arguments.threads,
                "seconds": spent,
                "cpu_seconds": processor,
                "steps": step,
                "kl": kl,
                "reached": bool(kl <= arguments.divergence),
            }
        )
    )


if __name__ == "__main__":
    main()
