"""Training."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from . import _native
from ._problem import Problem
from ._run import Run
from ._target import Target

Report = Mapping[str, Any]


def train(
    problem: Problem | Mapping[str, Any],
    minutes: float | None = None,
    steps: int | None = None,
    seed: int | None = None,
    out: str | os.PathLike[str] | None = None,
    progress: bool | Callable[[Report], None] = True,
    *,
    resume: bool = False,
    changed: bool = False,
    device: str = "",
) -> Run:
    """Train a flow, in a folder that keeps the run, and open it.

    ``minutes`` is how long the training may take, 5 by default; ``steps`` is an exact number of steps instead.
    ``out`` is the folder; by default a new one in ``runs``, named after the target. ``progress`` writes a line to
    standard error, or calls a function with a report of the latest step a few times a second: a dict with ``step``,
    ``total``, ``loss`` and more. ``device`` is ``"flex"``, the processor, unless the package was built for others.

    Ctrl-C ends the training after its step, with a checkpoint. So does an exception of the target's function, which
    arrives with its own traceback. The same call with ``resume=True`` and the folder as ``out`` then goes on. It
    refuses a function whose source has changed, unless ``changed`` is true.

    Functions are called on another thread than this one: settings that belong to a thread, such as
    ``torch.no_grad``, must be made inside of them. Other Python threads run meanwhile.
    """
    if not isinstance(problem, Problem):
        problem = Problem.of(problem)
    target = problem.target if isinstance(problem.target, Target) else None
    if resume and out is None:
        raise ValueError("resume=True needs the folder of the run as out=")
    name = target.name if target is not None else next(iter(problem.target), "run")
    folder = _new(name) if out is None else Path(out)
    if (folder / "model.safetensors").exists() and resume:
        return Run.open(folder, target=target, device=device, changed=changed)
    if (folder / "config.json").exists() and not resume:
        raise ValueError(f"{folder} already holds a run; go on with resume=True, or choose another folder with out=")
    if target is not None:
        target.check(problem.ranges, problem._states(), seed or 0)
    before = folder.exists()
    files = problem._write(folder)
    config = problem._config(files)
    if seed is not None:
        config["seed"] = int(seed)
    try:
        _native.train(
            json.dumps(config),
            folder,
            target=target,
            resume=resume,
            changed=changed,
            minutes=minutes,
            steps=steps,
            device=device,
            observer=_observer(progress),
        )
    except BaseException:
        if not (folder / "config.json").exists():
            _clean(folder, files, keep=before)
        raise
    return Run.open(folder, target=target, device=device)


def _new(name: str) -> Path:
    """A folder in `runs` that does not exist."""
    number, folder = 1, Path("runs") / name
    while folder.exists():
        number += 1
        folder = Path("runs") / f"{name}-{number}"
    return folder


def _clean(folder: Path, files: list[str | None], *, keep: bool) -> None:
    """Remove what was written for a training that did not begin."""
    for file in files:
        if file is not None:
            Path(file).unlink(missing_ok=True)
    if not keep and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _observer(progress: bool | Callable[[Report], None]) -> Callable[[str | None, str | None], None] | None:
    """What the extension module calls with a note or the JSON of a report."""
    if progress is False:
        return None
    if callable(progress):
        return lambda note, report: None if report is None else progress(json.loads(report))
    line = ""
    rewritten = sys.stderr.isatty() or "ipykernel" in sys.modules

    def show(note: str | None, report: str | None) -> None:
        nonlocal line
        if note is not None:
            print(f"\r{note.ljust(len(line))}" if line else note, file=sys.stderr)
        elif report is not None and rewritten:
            r = json.loads(report)
            done, total = r["step"] + 1, r["total"]
            new = f"step {done} of {total}, loss {r['loss']:.4g}, {1e3 * r['seconds']:.1f} ms a step"
            end = "\n" if done == total else ""
            print(f"\r{new.ljust(len(line))}", end=end, file=sys.stderr, flush=True)
            line = "" if end else new

    return show
