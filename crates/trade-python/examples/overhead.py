"""What a function in Python costs beside its own work: the lock of the interpreter, copies and checks."""

import time

import numpy as np
import tradeflow as tf

BATCH = 512
spent = calls = 0


@tf.energy(dim=2)
def valley(x):
    global spent, calls
    start = time.perf_counter()
    u = x[:, 0] ** 2 / 2 + 2 * (x[:, 1] - x[:, 0] ** 2) ** 2
    spent, calls = spent + time.perf_counter() - start, calls + 1
    return u


steps = []
problem = tf.Problem(valley, {"T": (0.4, 1.2)})
run = tf.train(problem, steps=300, progress=lambda report: steps.append((report.get("seconds"), calls)))
steps = [step for step in steps if step[0] is not None][5:]
step_seconds = np.median([seconds for seconds, _ in steps])
# Reports come every ten steps.
calls_a_step = (steps[-1][1] - steps[0][1]) / (10 * (len(steps) - 1))

at, states = run.at(T=1.0), np.random.default_rng(0).standard_normal((40, BATCH, 2)).astype(np.float32)
spent, start = 0.0, time.perf_counter()
for _ in range(25):
    for x in states:
        at.log_density(x)
around = (time.perf_counter() - start - spent) / 1000
share = calls_a_step * around / step_seconds
print(f"a step takes {1e3 * step_seconds:.2f} ms and {calls_a_step:.2f} calls of the function")
print(f"a call at batch {BATCH} costs {1e6 * around:.0f} µs beside the function's own work: {100 * share:.1f} % of a step")
