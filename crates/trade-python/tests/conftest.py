import signal

import pytest
import tradeflow as tf

# A shell that starts the tests in the background has them ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)


@tf.energy(dim=1)
def spring(x):
    return 0.5 * x[:, 0] ** 2


@pytest.fixture(scope="session")
def target():
    return spring


#: A small training that takes a second: a fixed flow on data.
@pytest.fixture
def small():
    import numpy as np

    x = np.random.default_rng(0).standard_normal((500, 1))

    def make(target, data=None, controls=("T",), at=1.0, **parts):
        ranges = {name: (0.5, 2.0) for name in controls}
        data = data if data is not None else ({name: at for name in controls}, x)
        return tf.Problem(target, ranges, data=data, **parts)

    return make
