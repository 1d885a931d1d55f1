"""The identity of an app's code: changes with any source it is made of, and with nothing else."""

import sys

import pytest

from apps.discovery import load_class
from apps.identity import code_of
from apps.order_manager import OmsApp
from apps.positions import Positions

HELPER = "SIZE = 5\n"
APP = """
import helper_of_mine
from apps.app import App
from helper_of_mine import SIZE

class Mine(App):
    pass
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "helper_of_mine.py").write_text(HELPER)
    (tmp_path / "identity_app.py").write_text(APP)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    forget()


def forget():
    for name in ("helper_of_mine", "identity_app"):
        sys.modules.pop(name, None)


def code(folder):
    forget()
    return code_of([load_class(f"{folder / 'identity_app.py'}:Mine")])


def test_it_is_the_same_until_a_source_changes(folder):
    first = code(folder)
    assert code(folder) == first
    (folder / "beside.py").write_text("unused = 1\n")
    assert code(folder) == first
    (folder / "identity_app.py").write_text(APP + "# a word\n")
    second = code(folder)
    assert second != first
    (folder / "identity_app.py").write_text(APP)
    assert code(folder) == first


def test_what_the_file_imports_belongs_to_it(folder):
    first = code(folder)
    (folder / "helper_of_mine.py").write_text("SIZE = 50\n")
    assert code(folder) != first


def test_our_own_apps_are_the_product_in_any_order():
    assert code_of([OmsApp, Positions]) == code_of([Positions, OmsApp])
    assert len(code_of([OmsApp])) == 32
