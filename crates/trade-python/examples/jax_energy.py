"""# An energy in JAX

A target is any function that gives values in batches; here it is compiled by JAX. The potential is the one of
Müller and Brown (Theor. Chim. Acta 53, 75, 1979) in units of 20, with three wells and curved paths between
them. Normalisers are compared with quadrature on a grid.
"""

# %%
import os

import jax
import jax.numpy as jnp
import numpy as np
import tradeflow as tf

jax.config.update("jax_enable_x64", True)

A = jnp.array([-200.0, -100.0, -170.0, 15.0])
a, b, c = jnp.array([-1, -1, -6.5, 0.7]), jnp.array([0, 0, 11, 0.6]), jnp.array([-10, -10, -6.5, 0.7])
x0, y0 = jnp.array([1, 0, -0.5, -1]), jnp.array([0, 0.5, 1.5, 1])


@jax.jit
@jax.vmap
def potential(x):
    dx, dy = x[0] - x0, x[1] - y0
    # The last term grows without bound: far away it is cut where nothing is.
    return jnp.sum(A * jnp.exp(jnp.minimum(a * dx**2 + b * dx * dy + c * dy**2, 50.0))) / 20


@tf.energy(dim=2)
def mueller_brown(x):
    return potential(x)


# A fixed number of steps where STEPS is set, else two minutes.
length = {"steps": int(os.environ["STEPS"])} if "STEPS" in os.environ else {"minutes": 2}
run = tf.train(tf.Problem(mueller_brown, {"T": (0.7, 2.0)}), **length)

# %% [markdown]
# The normaliser at three temperatures, and by the midpoint rule on a grid:

# %%
axes = np.linspace(-6.0, 5.0, 2001), np.linspace(-5.0, 6.0, 2001)
middle = [0.5 * (axis[1:] + axis[:-1]) for axis in axes]
points = np.stack(np.meshgrid(*middle), axis=-1).reshape(-1, 2)
u = np.asarray(potential(points))
cell = np.prod([axis[1] - axis[0] for axis in axes])
for T in (0.7, 1.2, 2.0):
    samples = run.at(T=T).sample(10_000)
    value, error = samples.log_z
    exact = np.log(np.sum(np.exp(-u / T)) * cell)
    print(f"T = {T}: ESS {samples.ess:.3f}, log Z {value:.4f} ± {error:.4f}, quadrature {exact:.4f}")
