"""The notebook of the debugging guide runs from top to bottom, and what it shows is what it gives today."""

import os
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[2] / "docs" / "notebooks" / "debugging.ipynb"
DIGEST = re.compile(r"\b[0-9a-f]{16}\b")


def outputs(cell):
    """Text that a cell gives. A kernel may cut one print in two; a digest changes with any app's state."""
    given = [o["text"] if o["output_type"] == "stream" else o["data"]["text/plain"] for o in cell.get("outputs", [])]
    return DIGEST.sub("<digest>", "".join(given))


def joined(notebook):
    """Consecutive prints as one output, as they are committed; nothing of the machine that ran it."""
    for number, cell in enumerate(notebook.cells):
        cell["id"], cell["metadata"] = f"cell-{number}", {}
        kept = []
        for output in cell.get("outputs", []):
            if kept and output["output_type"] == kept[-1]["output_type"] == "stream":
                kept[-1]["text"] += output["text"]
            else:
                kept.append(output)
        if cell["cell_type"] == "code":
            cell["outputs"] = kept
    python = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata = {"kernelspec": python, "language_info": {"name": "python"}}
    return notebook


@pytest.fixture(scope="module")
def ran():
    """Run by a kernel of this environment. LOCKSTEP_REWRITE_GOLDEN=1 writes it anew; read the difference before committing."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(NOTEBOOK.parent)}}
    ).execute()
    if os.environ.get("LOCKSTEP_REWRITE_GOLDEN"):
        nbformat.write(joined(notebook), NOTEBOOK)
    return notebook


def test_it_gives_what_it_shows(ran):
    shown = nbformat.read(NOTEBOOK, as_version=4)
    for there, now in zip(shown.cells, ran.cells, strict=True):
        if there["cell_type"] == "code":
            assert outputs(now) == outputs(there), there["source"]


def test_it_ends_with_the_proof_and_shows_what_it_is_for(ran):
    text = "\n".join(outputs(c) for c in ran.cells)
    assert "replay identical" in text
    assert "└─RiskDecision of risk  PASS" in text
    assert "position 0.05 → 0" in text
