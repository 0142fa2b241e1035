"""Ctrl-C in every kind of call, and processes that were forked."""

import multiprocessing
import os
import signal
import threading
import time

import numpy as np
import pytest
import tradeflow as tf


@tf.energy(dim=1)
def spring(x):
    return 0.5 * x[:, 0] ** 2


@tf.energy(dim=1)
def slow(x):
    time.sleep(0.2)
    return 0.5 * x[:, 0] ** 2


def problem(target, **parts):
    x = np.random.default_rng(0).standard_normal((500, 1))
    return tf.Problem(target, {"T": (0.5, 2.0)}, data=({"T": 1.0}, x), **parts)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    # Measures that would take minutes.
    evaluate = {"samples": 5_000_000}
    folder = tmp_path_factory.mktemp("runs") / "spring"
    return tf.train(problem(spring, evaluate=evaluate), steps=20, progress=False, out=folder)


@pytest.mark.parametrize(
    "call",
    [
        lambda run: run.at(T=1.0).sample(100_000_000),
        lambda run: run.at(T=1.0).log_prob(np.zeros((50_000_000, 1), dtype=np.float32)),
        lambda run: run.evaluate(),
        lambda run: run.plot(),
        lambda run: run.free_energy({"T": 0.5}, {"T": 2.0}, samples=10_000_000),
        # The walkers of a pilot run, with a function that takes its time, and with a native target.
        lambda run: tf.train(tf.Problem(slow, {"T": (0.5, 2.0)}), progress=False),
        lambda run: tf.train(
            tf.Problem(
                {"expression": {"variables": {"x": 1}, "controls": ["T"], "log_density": "-x^2/T"}},
                {"T": (0.5, 2.0)},
                pilot={"at": [2.0], "burn_in": 10_000_000},
            ),
            progress=False,
        ),
    ],
    ids=["sample", "log_prob", "evaluate", "plot", "free_energy", "pilot", "native pilot"],
)
def test_ctrl_c_ends_every_call(run, call):
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    start = time.monotonic()
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        call(run)
    timer.join()
    # A batch takes less than a second, also on a busy machine.
    assert time.monotonic() - start < 10
    # The run is as good as before.
    assert len(run.at(T=1.0).sample(10)) == 10


def draw(run, seed, queue):
    queue.put(run.at(T=0.7).sample(2000, seed=seed).x)


def in_child(work, *arguments):
    """What a function puts into a queue in a forked process."""
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=work, args=(*arguments, queue))
    child.start()
    try:
        return queue.get(timeout=60)
    finally:
        child.join(timeout=10)
        child.kill()


forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")


@forks
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_samples_the_same(run):
    expected = run.at(T=0.7).sample(2000, seed=5)
    assert np.array_equal(in_child(draw, run, 5), expected.x)
    # The parent goes on.
    assert np.array_equal(run.at(T=0.7).sample(2000, seed=5).x, expected.x)


def learn(queue):
    trained = tf.train(problem(spring), steps=20, progress=False, seed=2)
    queue.put(trained.at(T=1.0).sample(100).x)


@forks
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_trains_the_same(run):
    here = tf.train(problem(spring), steps=20, progress=False, seed=2)
    assert np.array_equal(in_child(learn), here.at(T=1.0).sample(100).x)


def attempt(run, queue):
    try:
        run.at(T=1.0).sample(10)
    except tf.TradeError as error:
        queue.put(str(error))
    else:
        queue.put("sampled")


@forks
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_process_that_was_forked_during_a_computation_says_so(run):
    thread = threading.Thread(target=lambda: run.at(T=1.0).sample(2_000_000))
    thread.start()
    time.sleep(0.2)
    assert thread.is_alive(), "the computation was too short for this test"
    said = in_child(attempt, run)
    thread.join()
    assert "forked while tradeflow was computing" in said and "spawn" in said
    assert len(run.at(T=1.0).sample(10)) == 10
