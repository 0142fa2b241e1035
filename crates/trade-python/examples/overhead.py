"""What a function in Python costs beside its own work: the interpreter's lock, threads, copies and checks.

Prints the wall-clock and the CPU time of a training step and of a call at batch 512, each the median of five
turns. CPU time is that of all threads of the process, which other programs on the machine hardly change.
"""

import time

import numpy as np
import tradeflow as tf

BATCH, CALLS = 512, 400
spent = np.zeros(2)
calls = 0


def clocks():
    return np.array([time.perf_counter(), time.process_time()])


@tf.energy(dim=2)
def valley(x):
    global spent, calls
    start = clocks()
    u = x[:, 0] ** 2 / 2 + 2 * (x[:, 1] - x[:, 0] ** 2) ** 2
    spent, calls = spent + clocks() - start, calls + 1
    return u


def turn():
    """Times of a step, calls in a step, and times around a call."""
    global spent
    reports = []
    note = lambda report: reports.append((*clocks(), calls)) if "step" in report else None
    data = ({"T": 1.0}, np.random.default_rng(0).standard_normal((2000, 2)))
    losses = [{"loss": {"nll": {"batch": BATCH}}}, {"loss": {"log_variance": {"batch": BATCH}}}]
    train = {"steps": 200}
    run = tf.train(tf.Problem(valley, {"T": (0.4, 1.2)}, data, objectives=losses, train=train), progress=note)
    first, last = np.array(reports[5]), np.array(reports[-1])
    # Reports come every ten steps.
    step = (last - first) / (10 * (len(reports) - 6))
    at, states = run.at(T=1.0), np.random.default_rng(0).standard_normal((CALLS, BATCH, 2)).astype(np.float32)
    spent, start = np.zeros(2), clocks()
    for x in states:
        at.log_density(x)
    return *step, *((clocks() - start - spent) / CALLS)


wall, cpu, count, call_wall, call_cpu = np.median([turn() for _ in range(5)], axis=0)
print(f"a step takes {1e3 * wall:.2f} ms, {1e3 * cpu:.2f} ms of CPU time, and {count:.2f} calls of the function")
print(f"a call at batch {BATCH} costs {1e6 * call_wall:.0f} µs beside the function's own work, {1e6 * call_cpu:.0f} µs of CPU time")
print(f"that is {100 * count * call_wall / wall:.1f} % of a step, and {100 * count * call_cpu / cpu:.1f} % of its CPU time")
