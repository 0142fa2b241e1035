"""Problems, runs and what they give."""

import ast
import json
import os
import resource
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import tradeflow as tf

#: Trainings of the test of memory: 200, or as many as the variable CYCLES says.
CYCLES = int(os.environ.get("CYCLES", 200))
TRADE = Path(sys.executable).parent / "trade"


def wells(**parts):
    data = {"at": {"temperature": 1.0}, "from": {"exact": 1000}}
    return tf.Problem({"double_well": {}}, {"temperature": (0.5, 1.1)}, data=data, **parts)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return tf.train(wells(), steps=60, progress=False, seed=4, out=tmp_path_factory.mktemp("run") / "wells")


def tool(*arguments, cwd):
    return subprocess.run([TRADE, *map(str, arguments)], cwd=cwd, capture_output=True, text=True)


def test_the_tool_opens_the_run_and_samples_the_same_bits(run, tmp_path):
    done = tool("sample", run.path, "--at", "temperature=0.7", "-n", 500, "--seed", 9, "-o", "x.npy",
                "--log-prob", "l.npy", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    samples = run.at(temperature=0.7).sample(500, seed=9)
    assert np.array_equal(np.load(tmp_path / "x.npy"), samples.x)
    assert np.array_equal(np.load(tmp_path / "l.npy"), samples.log_prob)


def test_a_run_of_the_tool_opens_here(tmp_path):
    config = {"target": {"double_well": {}}, "ranges": {"temperature": [0.5, 1.1]},
              "data": [{"at": {"temperature": 1.0}, "from": {"exact": 1000}}]}
    (tmp_path / "w.json").write_text(json.dumps(config))
    done = tool("train", "w.json", "--steps", 20, "--quiet", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    run = tf.Run.open(tmp_path / "runs" / "w")
    assert run.at(temperature=0.6).sample(100).x.shape == (100, 2)
    assert run.ranges == {"temperature": (0.5, 1.1)}


def test_the_tool_samples_a_run_whose_target_is_a_function(target, small, tmp_path):
    run = tf.train(small(target), steps=20, progress=False, out=tmp_path / "run")
    done = tool("sample", run.path, "--at", "T=1", "-n", 50, "-o", "x.npy", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert np.array_equal(np.load(tmp_path / "x.npy"), run.at(T=1.0).sample(50).x)
    without = tf.Run.open(run.path).at(T=1.0).sample(50)
    with pytest.raises(tf.TradeError, match="opened with it"):
        without.ess
    for measure in (tf.Run.evaluate, tf.Run.plot, tf.Run.verdict, lambda r: r.free_energy({"T": 0.5}, {"T": 1})):
        with pytest.raises(tf.TradeError, match="is the function `spring`; open the run with it"):
            measure(tf.Run.open(run.path))
    other = tf.energy(dim=2)(target.function)
    with pytest.raises(tf.TradeError, match="has dim 2, and the target of .* has 1"):
        tf.Run.open(run.path, other, accept_changed_target=True)
    assert tf.Run.open(run.path, target).at(T=1.0).sample(50).ess > 0


def test_a_training_starts_from_another_run(run, tmp_path):
    still = {"steps": 1, "learning_rate": {"constant": {"lr": 1e-9}}}
    for start in (run, str(run.path)):
        second = tf.train(wells(train=still), init_from=start, progress=False)
        here, there = (r.at(temperature=0.7).log_prob([[0.5, 0.1], [-2.0, 1.0]]) for r in (second, run))
        assert np.allclose(here, there, atol=1e-4)
    with pytest.raises(tf.TradeError, match="holds no trained model to start from"):
        tf.train(wells(train=still), init_from=tmp_path, progress=False)


def test_the_command_answers():
    assert "trade" in tool("--version", cwd=".").stdout
    assert tool("no-such-command", cwd=".").returncode == 2
    assert tool("evaluate", "/nowhere", cwd=".").returncode == 1


def test_the_stubs_are_those_of_the_compiled_module():
    from tradeflow import _native

    tree = ast.parse(Path(_native.__file__).with_name("_native.pyi").read_text())
    named = [node for node in tree.body if isinstance(node, (ast.ClassDef, ast.FunctionDef))]
    assert sorted(node.name for node in named) == sorted(_native.__all__)
    for node in named:
        if isinstance(node, ast.ClassDef) and node.name != "TradeError":
            methods = {name for name in vars(getattr(_native, node.name)) if not name.startswith("__")}
            assert {f.name for f in node.body} == methods


def test_measures(run):
    table = run.evaluate()
    assert len(table["ess"]) == 10 and np.all(np.asarray(table["ess"]) <= 1)
    path = run.free_energy({"temperature": 1.0}, {"temperature": 0.6}, points=5, samples=2000)
    # The double well knows its normaliser, and both routes find it within errors.
    miss = np.abs(np.asarray(path["weights"]) - np.asarray(path["exact"]))[1:]
    assert np.all(miss < 6 * np.asarray(path["weights_error"])[1:] + 0.05)
    figures = run.plot()
    assert figures and all(svg.startswith("<svg") for svg in figures.values())
    assert figures._repr_html_().count("<svg") == len(figures)
    assert run.verdict()


def test_tables_without_pandas(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    table = run.free_energy({"temperature": 1.0}, {"temperature": 0.6}, points=3, samples=500)
    assert type(table) is dict and np.allclose(table["temperature"], [1.0, 0.8, 0.6])
    monkeypatch.undo()
    pandas = pytest.importorskip("pandas")
    again = run.free_energy({"temperature": 1.0}, {"temperature": 0.6}, points=3, samples=500)
    assert isinstance(again, pandas.DataFrame) and np.array_equal(again["weights"], table["weights"])


def test_log_prob_is_that_of_the_samples(run):
    samples = run.at(temperature=0.7).sample(200)
    again = run.at(temperature=0.7).log_prob(samples.x)
    assert np.allclose(again, samples.log_prob, atol=1e-5)
    for x in (np.asfortranarray(samples.x), samples.x.astype(np.float64), samples.x.tolist()):
        assert np.array_equal(run.at(temperature=0.7).log_prob(x), again)
    with pytest.raises(ValueError, match=r"expected shape \[n, 2\]"):
        run.at(temperature=0.7).log_prob(samples.x[:, :1])
    with pytest.raises(TypeError, match="dtype"):
        run.at(temperature=0.7).log_prob(samples.x.astype(str))
    assert run.at(temperature=0.7).log_prob(np.zeros((0, 2))).shape == (0,)
    for bad in (np.nan, 1e300):
        with pytest.raises(ValueError, match="row 1 is not finite"):
            run.at(temperature=0.7).log_prob([[0.0, 0.0], [bad, 0.0]])


def test_conditions(run):
    with pytest.raises(tf.TradeError, match="unknown control parameter `T`"):
        run.at(T=1.0)
    with pytest.raises(tf.TradeError, match="no value for `temperature`"):
        run.at()
    with pytest.warns(RuntimeWarning, match="outside the trained range"):
        run.at(temperature=2.0)
    with pytest.raises(tf.TradeError, match="above 0"), pytest.warns(RuntimeWarning):
        run.at(temperature=-1.0).sample(10)


def test_data_of_every_kind_give_the_same_problem(target, tmp_path):
    x = np.random.default_rng(1).standard_normal((200, 2)).astype(np.float32)
    read_only = x.astype(np.float64)
    read_only.flags.writeable = False
    kinds = [x, read_only, np.asfortranarray(x), x.tolist(), x.astype(np.float64)]
    try:
        import pandas

        kinds.append(pandas.DataFrame(x))
    except ImportError:
        print("pandas SKIPPED, it is not installed")
    problems = [tf.Problem({"double_well": {}}, {"temperature": (0.5, 1.1)}, data=({"temperature": 1}, k)) for k in kinds]
    texts = set()
    for i, problem in enumerate(problems):
        problem._written(tmp_path / str(i), 0)
        texts.add((tmp_path / str(i) / "data-0.npy").read_bytes())
    assert len(texts) == 1


@pytest.mark.parametrize(
    "x, kind, says",
    [
        (np.zeros((0, 1)), ValueError, "no rows"),
        (np.zeros(5), ValueError, r"expected shape \[n, 1\], found \[5\]"),
        (np.zeros((5, 2)), ValueError, r"expected shape \[n, 1\]"),
        (np.array([[1.0], [np.nan]]), ValueError, "row 1 is not finite"),
        (np.array([["a"]]), TypeError, "dtype"),
        (np.array([[1j]]), TypeError, "complex"),
    ],
)
def test_data_that_do_not_fit_are_named(target, x, kind, says):
    with pytest.raises(kind, match=says):
        tf.Problem(target, {"T": (0.5, 2.0)}, data=({"T": 1.0}, x))


def test_odd_data_are_said(target):
    x = np.random.default_rng(0).integers(-3, 4, (1000, 1))
    problem = tf.Problem(target, {"T": (0.5, 2.0)}, data=({"T": 1.0}, x))
    with pytest.warns(RuntimeWarning) as said:
        tf.train(problem, steps=2, progress=False)
    text = " ".join(str(warning.message) for warning in said)
    assert "only 7 of 1000 are distinct" in text and "whole numbers only" in text
    with pytest.raises(tf.TradeError, match="has no observations"):
        tf.Problem(target, {"T": (0.5, 2.0)}, data=({"T": 1.0}, x, x))


def test_a_training_without_data_says_what_it_cannot_know(target):
    problem = tf.Problem(target, {"T": (0.5, 2.0)}, pilot={"at": [2.0], "samples": 200, "burn_in": 20})
    with pytest.warns(RuntimeWarning, match="there are no data: 200 samples"):
        tf.train(problem, steps=2, progress=False)


def test_a_configuration_that_does_not_fit_names_its_field():
    with pytest.raises(tf.TradeError, match="bins"):
        tf.train(wells(train={"bins": 3}), progress=False)
    with pytest.raises(TypeError, match="no part of a problem"):
        wells(layers=3)


@pytest.mark.parametrize(
    "call, kind, says",
    [
        (lambda run: run.at(temperature=[1.0, 2.0]), TypeError, "condition `temperature`: expected a number"),
        (lambda run: run.at(temperature="1.0"), TypeError, "condition `temperature`: expected a number"),
        (lambda run: run.at(temperature=np.nan).sample(5), tf.TradeError, "temperature"),
        (lambda run: run.at(temperature=1.0).sample(0), ValueError, "n: expected a whole number of at least 1"),
        (lambda run: run.at(temperature=1.0).sample(10.5), ValueError, "n: expected a whole number"),
        (lambda run: run.at(temperature=1.0).sample(5, seed=-1), ValueError, "seed: expected a whole number"),
        (lambda run: run.at(temperature=1.0).sample(5).resample(0), ValueError, "n: expected a whole number"),
        (lambda run: run.at(temperature=1.0).given([1.0]).sample(5), tf.TradeError, "observations of 0 numbers, but 1"),
        (lambda run: run.evidence(), tf.TradeError, "prior is known and normalised"),
        (lambda run: tf.train(run), TypeError, "`problem` must be a Problem, found Run"),
        (lambda run: tf.train(wells(), steps=0), ValueError, "steps: expected a whole number"),
        (lambda run: tf.train(wells(), minutes=-1), ValueError, "minutes: expected a number above 0"),
        (lambda run: tf.train(wells(), steps=5, device="abacus"), tf.TradeError, "abacus"),
        (lambda run: tf.Problem({"double_well": {}}, {"temperature": 1.0}), TypeError, "`ranges.temperature`: expected .low"),
        (lambda run: tf.Problem({"double_well": {}}, {"temperature": (1, 0.5)}), ValueError, "expected low < high"),
        (lambda run: tf.Problem(len, {"T": (0.5, 1)}), TypeError, "decorate the function"),
        (lambda run: tf.energy(dim=0)(len), ValueError, "dim: expected a whole number of at least 1"),
        (lambda run: run.at({"temperature": 1.0}, temperature=0.6), TypeError, "`temperature` is given twice"),
        (lambda run: tf.Problem.from_config({"target": {}}), tf.TradeError, "has no `ranges`"),
        (lambda run: tf.log_likelihood(prior=[{"gamma": {}}]), TypeError, r"prior\[0\]: expected one of"),
        (lambda run: tf.log_likelihood(prior=[{"uniform": [0, 1]}]), TypeError, r"prior\[0\]: expected one of"),
        (lambda run: tf.target(dim=1, controls=["a", "a"])(len), ValueError, "stands twice"),
        (lambda run: tf.Run.open("/nowhere"), tf.TradeError, "/nowhere is not a folder"),
    ],
)
def test_what_does_not_fit_is_named(run, call, kind, says):
    with pytest.raises(kind, match=says), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        call(run)


def test_one_name_is_one_control():
    assert tf.target(dim=1, controls="beta")(len).controls == ["beta"]


def test_memory_does_not_grow():
    @tf.target(dim=2, controls=["T"])
    def normal(x, c):
        square = (x**2).sum(axis=1)
        return -0.5 * square / c[:, 0], 0.5 * square[:, None] / c**2

    coupling = {"rqs_coupling": {"bins": 5, "conditioner": {"hidden": [16]}}}
    layers = [{"repeat": 2, "of": [coupling, {"permutation": "hard"}, "act_norm"]}]
    problem = tf.Problem(
        normal,
        {"T": (0.5, 2.0)},
        data=({"T": 1.0}, np.random.default_rng(0).standard_normal((500, 2))),
        flow={"dim": 2, "preprocess": "log", "base": "control", "layers": layers},
        objectives=[{"loss": {"nll": {"batch": 64}}}, {"loss": {"log_variance": {"batch": 64}}}],
        train={"steps": 1},
    )

    def cycle(n):
        for _ in range(n):
            run = tf.train(problem, progress=False)
            run.at(T=1.0).sample(100)
            del run

    def resident():
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * resource.getpagesize() / 2**20

    cycle(50)
    before = resident()
    cycle(CYCLES)
    grown = resident() - before
    print(f"{grown:.1f} MiB in {CYCLES} cycles")
    # A leak of one flow at each cycle would be some 50 kB each, 10 MiB in 200.
    assert grown < 4 + 0.005 * CYCLES, f"{grown:.1f} MiB in {CYCLES} cycles"
