"""Conditional normalizing flows across external conditions.

A target is a function of states and conditions, a configuration of the tool ``trade``, or an energy
alone. A flow is trained on it once and gives samples, densities and importance weights at every
condition of a range.

>>> import numpy as np, tradeflow as tf
>>> @tf.energy(dim=1)
... def spring(x):
...     return 0.5 * x[:, 0] ** 2
>>> run = tf.train(tf.Problem(spring, {"T": (0.5, 2.0)}), steps=100, progress=False)
>>> samples = run.at(T=1.0).sample(1000)
>>> samples.x.shape, bool(samples.ess > 0.5)
((1000, 1), True)
"""

import os

from . import _native
from ._native import TradeError
from ._molecule import Molecule
from ._problem import Problem
from ._run import At, Figures, Run, Samples, train
from ._target import Target, energy, log_likelihood, target

if hasattr(os, "register_at_fork"):
    # A child process has none of the parent's threads.
    os.register_at_fork(after_in_child=_native.forked)

__all__ = [
    "At",
    "Figures",
    "Molecule",
    "Problem",
    "Run",
    "Samples",
    "Target",
    "TradeError",
    "energy",
    "log_likelihood",
    "target",
    "train",
]
