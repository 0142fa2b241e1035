"""Makes a notebook of each script that is named, and runs it: python notebooks.py valley.py …

A cell begins with `# %%`; one that begins with `# %% [markdown]` is text. Needs nbclient and ipykernel. The notebook,
with its output, is written to `notebooks/`.
"""

import re
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient


def cells(text):
    """The cells of a script: its docstring, and what follows each mark."""
    title, rest = re.match(r'"""(.*?)"""\n(.*)', text, re.S).groups()
    yield nbformat.v4.new_markdown_cell(title.replace("\\\\", "\\").strip())
    for part in re.split(r"^# %%", rest, flags=re.M)[1:]:
        kind, _, body = part.partition("\n")
        if "markdown" in kind:
            yield nbformat.v4.new_markdown_cell(re.sub(r"^# ?", "", body.strip(), flags=re.M))
        else:
            yield nbformat.v4.new_code_cell(body.strip())


def quiet(cell):
    """Drops the progress bar, which is nothing but lines that were overwritten."""
    cell.outputs = [o for o in cell.get("outputs", []) if o.get("name") != "stderr"]


here = Path(__file__).resolve().parent
for name in sys.argv[1:]:
    notebook = nbformat.v4.new_notebook(cells=list(cells((here / name).read_text(encoding="utf-8"))))
    for i, cell in enumerate(notebook.cells):
        cell["id"] = f"{Path(name).stem}-{i}".replace("_", "-")
    NotebookClient(notebook, timeout=1800, coalesce_streams=True, resources={"metadata": {"path": str(here)}}).execute()
    for cell in notebook.cells:
        cell.get("metadata", {}).pop("execution", None)
        if cell.cell_type == "code":
            quiet(cell)
    target = here / "notebooks" / f"{Path(name).stem}.ipynb"
    target.parent.mkdir(exist_ok=True)
    nbformat.write(notebook, target)
    print(f"{target}: {target.stat().st_size / 1000:.0f} kB")
