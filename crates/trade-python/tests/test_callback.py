"""What a function may return, and what is said when it returns something else."""

import os
import signal
import threading
import traceback

import numpy as np
import pytest
import tradeflow as tf


def normal(x, c):
    return -0.5 * x[:, 0] ** 2 / c[:, 0], 0.5 * x**2 / c**2


def as_target(f, **more):
    return tf.target(dim=1, controls=["T"], **more)(f)


def test_a_density_with_its_score_is_trained_and_its_normaliser_found(small):
    run = tf.train(small(as_target(normal)), steps=400, progress=False)
    for T in (0.6, 1.7):
        samples = run.at(T=T).sample(20_000)
        value, error = samples.log_z
        assert samples.ess > 0.9
        # Z = sqrt(2πT); five errors.
        assert abs(value - 0.5 * np.log(2 * np.pi * T)) < 5 * error + 1e-4


def test_a_wrong_score_is_found_before_training(small):
    wrong = as_target(lambda x, c: (normal(x, c)[0], -normal(x, c)[1]))
    with pytest.raises(ValueError, match="differences give"):
        tf.train(small(wrong), steps=5, progress=False)


@pytest.mark.parametrize(
    "returned, kind, says",
    [
        (lambda x, c: normal(x, c)[0], TypeError, "expected a pair"),
        (lambda x, c: (x, x), ValueError, r"log_q of shape \(64, 1\), expected \(64,\)"),
        (lambda x, c: (x[:, 0], np.ones((len(x), 2))), ValueError, r"score of shape \(64, 2\)"),
        (lambda x, c: (1j * x[:, 0], x), TypeError, "complex128"),
        (lambda x, c: (np.array(["a"] * len(x)), x), TypeError, "dtype"),
        (lambda x, c: (x[:, 0] * np.nan, x), ValueError, "nan at row 0.* all 64 states"),
        (lambda x, c: (x[:, 0], x * np.nan), ValueError, "finite log_q"),
    ],
)
def test_a_misfit_is_named(small, returned, kind, says):
    with pytest.raises(kind, match=says):
        tf.train(small(as_target(returned)), steps=5, progress=False)


def test_one_nan_is_a_state_without_density_and_is_said():
    target = as_target(lambda x, c: (np.where(x[:, 0] > 0, np.nan, normal(x, c)[0]), normal(x, c)[1]))
    x, c = np.array([[-1.0], [1.0]]), np.ones((2, 1))
    with pytest.warns(RuntimeWarning, match=r"nan at row 1, x = \[1.0\], T = 1"):
        value, score = target._values(x, c)
    assert value.tolist() == [-0.5, -np.inf] and score.tolist() == [[0.5], [0.0]]


def test_float32_fortran_order_and_lists_are_taken():
    x, c = np.array([[1.0], [2.0]]), np.ones((2, 1))
    for convert in (np.float32, np.asfortranarray, np.ndarray.tolist):
        target = as_target(lambda x, c: tuple(convert(a) for a in normal(x, c)))
        value, score = target._values(x, c)
        assert value.dtype == score.dtype == np.float64 and score.flags.c_contiguous
        assert value.tolist() == [-0.5, -2.0] and score.tolist() == [[0.5], [2.0]]


class Failing:
    """A normal distribution that fails at one of its calls."""

    def __init__(self):
        self.calls, self.fails_at = 0, None

    def __call__(self, x, c):
        self.calls += 1
        if self.calls == self.fails_at:
            raise ZeroDivisionError("the user's own")
        return normal(x, c)


def test_an_exception_keeps_its_traceback_and_loses_nothing(small, tmp_path):
    whole = Failing()
    first = tf.train(small(as_target(whole)), steps=30, progress=False, out=tmp_path / "whole")
    broken = Failing()
    broken.fails_at = whole.calls - 8
    problem = small(as_target(broken))
    with pytest.raises(ZeroDivisionError, match="the user's own") as caught:
        tf.train(problem, steps=30, progress=False, out=tmp_path / "broken")
    assert "__call__" in [frame.name for frame in traceback.extract_tb(caught.tb)]
    second = tf.train(problem, steps=30, progress=False, out=tmp_path / "broken", resume=True)
    a, b = first.at(T=1.0).sample(100), second.at(T=1.0).sample(100)
    assert np.array_equal(a.x, b.x)


def test_ctrl_c_stops_at_a_step_with_a_checkpoint(small, tmp_path):
    problem = small(as_target(normal))

    def interrupt(report):
        if report.get("step") == 20:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        tf.train(problem, steps=20_000, progress=interrupt, out=tmp_path / "run")
    assert any((tmp_path / "run" / "checkpoints").iterdir())
    assert not (tmp_path / "run" / "model.safetensors").exists()


def test_an_exception_of_the_progress_function_ends_the_training(small, tmp_path):
    def fail(report):
        raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        tf.train(small(as_target(normal)), steps=200, progress=fail, out=tmp_path / "run")


def test_another_source_is_refused_unless_told(small, tmp_path):
    first = as_target(normal, version="1")

    def fail(report):
        raise LookupError

    with pytest.raises(LookupError):
        tf.train(small(first), steps=60, progress=fail, out=tmp_path / "run")
    other = as_target(normal, version="2")
    again = dict(steps=60, progress=False, out=tmp_path / "run", resume=True)
    with pytest.raises(tf.TradeError, match="source of `normal` has changed"):
        tf.train(small(other), **again)
    run = tf.train(small(other), accept_changed_target=True, **again)
    assert run.config["target"]["external"]["source"] == other.source
    changed = small(other, at=0.9)
    with pytest.raises(tf.TradeError, match="already trained, with another configuration"):
        tf.train(changed, **again)
    with pytest.raises(tf.TradeError, match="another one"):
        tf.Run.open(tmp_path / "run", first)


def test_reverse_kl_needs_a_gradient(small):
    loss = [{"loss": {"reverse_kl": {}}}]
    with pytest.raises(tf.TradeError, match="reverse KL divergence needs the derivative"):
        tf.train(small(as_target(normal), objectives=loss), steps=5, progress=False)
    with_grad = as_target(normal, grad=lambda x, c: -x / c)
    run = tf.train(small(with_grad, objectives=loss), steps=300, progress=False)
    assert run.at(T=1.0).sample(5000).ess > 0.9


def test_a_likelihood_has_its_evidence():
    @tf.log_likelihood(prior=[{"normal": {"mean": 0.0, "std": 1.0}}])
    def model(theta):
        return -0.5 * (theta[:, 0] - 1.0) ** 2 / 0.25

    run = tf.train(tf.Problem(model, {"beta": (0.1, 1.0)}), steps=400, progress=False)
    samples = run.at(beta=1.0).sample(20_000)
    value, error = samples.log_z
    # ∫ N(θ|0,1) exp(−2(θ−1)²) dθ = √(0.25/1.25) exp(−1/2.5).
    assert abs(value - (0.5 * np.log(0.2) - 0.4)) < 5 * error + 1e-3


def test_twenty_threads_sample_at_once(small):
    run = tf.train(small(as_target(normal)), steps=50, progress=False)
    expected = run.at(T=1.0).sample(2000, seed=3)
    found = [None] * 20

    def work(i):
        found[i] = run.at(T=1.0).sample(2000, seed=3)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    for samples in found:
        assert np.array_equal(samples.x, expected.x)
        assert np.array_equal(samples.log_weight, expected.log_weight)
