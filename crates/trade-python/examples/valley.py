"""# A curved valley in NumPy

The energy $U(x, y) = x^2/2 + 2 (y - x^2)^2$ has the normaliser $Z(T) = \\pi T$ at every temperature, so that
what a flow finds can be compared with the truth.
"""

# %%
import os

import numpy as np
import tradeflow as tf


@tf.energy(dim=2)
def valley(x):
    return x[:, 0] ** 2 / 2 + 2 * (x[:, 1] - x[:, 0] ** 2) ** 2


# A fixed number of steps where STEPS is set, else a minute.
length = {"steps": int(os.environ["STEPS"])} if "STEPS" in os.environ else {"minutes": 1}
run = tf.train(tf.Problem(valley, {"T": (0.4, 1.2)}), **length)

# %% [markdown]
# Samples at any temperature of the range, with weights that correct the flow:

# %%
for T in (0.4, 0.7, 1.2):
    samples = run.at(T=T).sample(10_000)
    value, error = samples.log_z
    print(f"T = {T}: ESS {samples.ess:.3f}, log Z {value:.4f} ± {error:.4f}, exact {np.log(np.pi * T):.4f}")

# %% [markdown]
# Where the flow is fit, in the words of `trade evaluate`, and free energies along the range:

# %%
print(run.verdict())
run.free_energy({"T": 1.2}, {"T": 0.4}, points=5)

# %%
tf.Figures((name, svg) for name, svg in run.plot().items() if "range" in name or "quality" in name)
