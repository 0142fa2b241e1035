"""What a function may return, and what is said when it returns something else."""

import functools
import os
import re
import signal
import threading
import traceback
import warnings

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
        (lambda x, c: (x[:, 0] > 0, x), TypeError, "dtype bool"),
        (lambda x, c: (np.ma.masked_array(x[:, 0], True), x), ValueError, "nan at row 0.* all 64 states"),
        (lambda x, c: (x[:, 0] - x[:, 0].mean(), 0 * x), ValueError, "depend on that row alone"),
        (lambda x, c: (np.random.randn(len(x)), 0 * x), ValueError, "depend on that row alone"),
    ],
)
def test_a_misfit_is_named(small, returned, kind, says):
    with pytest.raises(kind, match=says):
        tf.train(small(as_target(returned)), steps=5, progress=False)


def nowhere_above_zero(x, c):
    return np.where(x[:, 0] > 0, np.nan, normal(x, c)[0]), normal(x, c)[1]


def test_a_nan_is_a_state_without_density_and_is_named():
    target = as_target(nowhere_above_zero)
    x, c = np.array([[-1.0], [1.0], [2.0]]), np.ones((3, 1))
    value, score, (count, sentence) = target._values(x, c)
    assert value.tolist() == [-0.5, -np.inf, -np.inf] and score.tolist() == [[0.5], [0.0], [0.0]]
    assert count == 2
    assert "returned nan at row 1, x = [1.0], T = 1, and so at 2 of 3 states" in sentence


def test_nan_is_told_once_a_call_with_its_number_and_does_not_spread(small):
    run = tf.train(small(as_target(normal)), steps=100, progress=False)
    run = tf.Run.open(run.path, as_target(nowhere_above_zero), accept_changed_target=True)
    with pytest.warns(RuntimeWarning) as said:
        samples = run.at(T=1.0).sample(150_000)
    first, last = (str(warning.message) for warning in said)
    assert re.search(r"`nowhere_above_zero` returned nan at row \d+, x = \[.*\], T = 1", first)
    # Batches are of 65 536 states; the warning at the end has all of them.
    above = int((samples.x[:, 0] > 0).sum())
    assert f"in all at {above} of 150000 states" in last
    assert said[0].filename == __file__
    assert np.array_equal(samples.log_weight == -np.inf, samples.x[:, 0] > 0)
    assert not np.isnan(samples.log_weight).any() and np.isfinite(samples.log_z).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RuntimeWarning, match="returned nan at row"):
            run.at(T=1.0).sample(1000)


def test_nan_at_the_data_is_refused(small):
    with pytest.raises(ValueError, match="data: `nowhere_above_zero` returned nan .* a sample of the target has a density"):
        tf.train(small(as_target(nowhere_above_zero)), steps=5, progress=False)


def test_a_gradient_that_is_no_number_is_named(small):
    loss = [{"loss": {"reverse_kl": {}}}]
    broken = as_target(normal, grad=lambda x, c: np.where(x > 0, np.nan, -x / c))
    with pytest.raises(ValueError, match="`grad` of `normal` returned .*nan.* at row"):
        tf.train(small(broken, objectives=loss), steps=5, progress=False)
    bounded = as_target(
        lambda x, c: (np.where(x[:, 0] > 3, -np.inf, normal(x, c)[0]), normal(x, c)[1]),
        grad=lambda x, c: np.where(x > 3, np.nan, -x / c),
    )
    run = tf.train(small(bounded, objectives=loss), steps=20, progress=False)
    assert np.isfinite(run.at(T=1.0).sample(100).log_prob).all()


def test_what_a_function_may_return():
    x, c = np.array([[1.0], [2.0]]), np.ones((2, 1))

    def read_only(array):
        array = np.array(array)
        array.flags.writeable = False
        return array

    kinds = [np.float32, np.asfortranarray, np.ndarray.tolist, read_only]
    try:
        import pandas

        kinds.append(lambda a: pandas.DataFrame(a) if a.ndim == 2 else pandas.Series(a))
    except ImportError:
        print("pandas SKIPPED, it is not installed")
    for convert in kinds:
        target = as_target(lambda x, c: tuple(convert(a) for a in normal(x, c)))
        value, score, _ = target._values(x, c)
        assert value.dtype == score.dtype == np.float64 and score.flags.c_contiguous
        assert value.tolist() == [-0.5, -2.0] and score.tolist() == [[0.5], [2.0]]


def test_the_function_runs_on_the_calling_thread_with_the_lock_free_meanwhile(small):
    seen, others = set(), []

    def watched(x, c):
        seen.add(threading.get_ident())
        return normal(x, c)

    done = threading.Event()

    def count():
        while not done.wait(0.001):
            others.append(1)

    thread = threading.Thread(target=count)
    thread.start()
    tf.train(small(as_target(watched)), steps=100, progress=False)
    done.set()
    thread.join()
    assert seen == {threading.get_ident()}
    # Another thread runs while the flow is trained.
    assert len(others) > 20


def test_a_function_may_use_another_run(small):
    inner = tf.train(small(as_target(normal)), steps=50, progress=False)

    @tf.energy(dim=1)
    def learned(x):
        return -inner.at(T=1.0).log_prob(x)

    run = tf.train(small(learned), steps=50, progress=False)
    assert run.at(T=1.0).sample(500).ess > 0.5


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


@pytest.mark.parametrize("share", [0.5, 0.97])
def test_ctrl_c_loses_nothing(small, tmp_path, share):
    def train(target, name, **more):
        return tf.train(small(as_target(target)), steps=60, progress=False, out=tmp_path / name, **more)

    whole = Failing()
    first = train(whole, "whole")

    class Interrupted(Failing):
        def __call__(self, x, c):
            result = super().__call__(x, c)
            if self.calls == int(share * whole.calls):
                os.kill(os.getpid(), signal.SIGINT)
            return result

    target = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        train(target, "stopped")
    second = train(target, "stopped", resume=True)
    assert np.array_equal(first.at(T=1.0).sample(100).x, second.at(T=1.0).sample(100).x)


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


def test_a_hash_tells_partial_functions_apart():
    def scaled(scale, x):
        return scale * x[:, 0] ** 2

    one, two, again = (tf.energy(dim=1)(functools.partial(scaled, s)) for s in (1.0, 2.0, 1.0))
    assert one.source != two.source and one.source == again.source


@tf.log_likelihood(prior=[{"normal": {"mean": 0.0, "std": 1.0}}])
def model(theta):
    return -0.5 * (theta[:, 0] - 1.0) ** 2 / 0.25


def log_z(beta):
    # ∫ N(θ|0,1) exp(−2β(θ−1)²) dθ: a normal density of variance 1 + 1/4β at 1, times √(2π/4β).
    variance = 1 + 1 / (4 * beta)
    return -0.5 / variance - 0.5 * np.log(variance) - 0.5 * np.log(4 * beta)


def test_a_likelihood_has_its_normaliser():
    run = tf.train(tf.Problem(model, {"beta": (0.1, 1.0)}), steps=400, progress=False)
    samples = run.at(beta=1.0).sample(20_000)
    value, error = samples.log_z
    assert abs(value - log_z(1.0)) < 5 * error + 1e-3
    with pytest.raises(tf.TradeError, match="range starts at 0"):
        run.evidence()


def test_a_likelihood_has_its_evidence_from_the_prior_on(tmp_path):
    run = tf.train(tf.Problem(model, {"beta": (0.0, 1.0)}), steps=300, progress=False, out=tmp_path / "run")
    assert run.config["data"] == [{"at": {"beta": 0.0}, "from": {"exact": 100_000}}]
    table = run.evidence(at=[0.3], points=9)
    beta, value, error = (np.asarray(table[name]) for name in ("beta", "log_z", "log_z_error"))
    assert beta[0] == 0.0 and value[0] == 0.0 and 0.3 in beta
    expected = np.array([log_z(b) for b in beta[1:]])
    assert np.all(np.abs(value[1:] - expected) < 5 * error[1:] + 2e-3)
    assert np.asarray(table["ess"])[-1] > 0.9
    without = tf.Run.open(run.path)
    with pytest.raises(tf.TradeError, match="is the function `model`; open the run with it"):
        without.evidence()


def test_a_likelihood_is_treated_as_the_same_one_in_text():
    text = {"posterior": {"parameters": {"x": "normal(0, 1)"}, "log_likelihood": "-2*(x-1)^2"}}
    ours, theirs = (
        tf.train(tf.Problem(target, {"beta": (0.0, 1.0)}), steps=2, seed=3, progress=False).config
        for target in (model, text)
    )
    # The scale of the power was found by particles, which draw the same random numbers.
    assert ours["flow"]["preprocess"] == theirs["flow"]["preprocess"]
    for part in ("flow", "objectives", "train", "data"):
        assert ours[part] == theirs[part]


def test_arviz_has_the_evidence():
    pytest.importorskip("arviz")
    run = tf.train(tf.Problem(model, {"beta": (0.0, 1.0)}), steps=200, progress=False)
    found = run.to_arviz(2000, chains=4)
    x = np.asarray(found["posterior"]["x"])
    assert x.shape == (4, 500, 1)
    # The posterior is N(0.8, 0.2).
    assert abs(x.mean() - 0.8) < 0.06 and abs(x.var() - 0.2) < 0.04
    attrs = found["posterior"].attrs
    assert attrs["beta"] == 1.0 and abs(attrs["log_z"] - log_z(1.0)) < 5 * attrs["log_z_error"] + 1e-3


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
