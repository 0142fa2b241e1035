"""One conditional normalizing flow for a whole range of temperatures, couplings or powers of a likelihood.

A target is a function of yours, in NumPy or anything that gives arrays. No gradient in the state is needed.

>>> import numpy as np
>>> import tradeflow as tf
>>> @tf.energy(dim=2)
... def valley(x):
...     return x[:, 0] ** 2 / 2 + 2 * (x[:, 1] - x[:, 0] ** 2) ** 2
>>> problem = tf.Problem(valley, {"T": (0.4, 1.2)})
>>> run = tf.train(problem, steps=20, out=tmp / "valley", progress=False)  # 20 steps are far too few
>>> samples = run.at(T=0.5).sample(100)
>>> samples.x.shape, samples.log_prob.shape
((100, 2), (100,))
"""

from ._problem import Problem
from ._run import At, Figure, Plots, Run, Samples, Table
from ._target import Target, energy, log_likelihood, log_normal, normal, target, uniform
from ._train import train

__all__ = [
    "At",
    "Figure",
    "Plots",
    "Problem",
    "Run",
    "Samples",
    "Table",
    "Target",
    "energy",
    "log_likelihood",
    "log_normal",
    "normal",
    "target",
    "train",
    "uniform",
]
