"""Notebooks are shown and edited without the pictures of their outputs."""

import base64
import json
import os

import pytest

from codebot import place
from prunejuice.code.notebook import cut_long_values

SOURCE = ["price = 1\n", "print(price)\n"]


@pytest.fixture
def notebook(project):
    picture = base64.b64encode(os.urandom(150_000)).decode()
    output = {
        "output_type": "display_data",
        "metadata": {},
        "data": {"image/png": picture, "text/plain": ["<Figure>"]},
    }
    cell = {
        "cell_type": "code",
        "execution_count": 1,
        "metadata": {},
        "outputs": [output],
        "source": SOURCE,
    }
    data = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    text = json.dumps(data, indent=1) + "\n"
    (project.root / "n.ipynb").write_text(text)
    project.commit("notebook")
    return text


def test_cells_are_shown_without_their_pictures(project, notebook):
    shown = project.codeclip("n.ipynb").out
    assert "price = 1" in shown
    assert "[200,000 characters not shown]" in shown
    assert len(shown) < 3000


def test_a_question_finds_the_cells_of_a_notebook(project, notebook):
    found = project.codeclip("-q", "print the price", "--json").json
    assert [item["path"] for item in found["items"] if item["path"] == "n.ipynb"]


def test_a_cell_is_edited_and_the_picture_stays(notebook):
    old, new = '    "price = 1\\n",\n', '    "price = 2\\n",\n'
    answer = f"n.ipynb\n<<<<<<< SEARCH\n{old}=======\n{new}>>>>>>> REPLACE\n"
    result = place(answer, {"n.ipynb": notebook})
    assert not result.rejected
    assert result.files["n.ipynb"] == notebook.replace("price = 1", "price = 2")


def test_a_notebook_as_it_was_shown_is_never_written(notebook):
    shown = cut_long_values(notebook)
    assert len(shown.split("\n")) == len(notebook.split("\n"))
    [rejected] = place(f"n.ipynb\n```json\n{shown}```\n", {"n.ipynb": notebook}).rejected
    assert rejected.cause == "elided"


@pytest.mark.parametrize(
    ("line", "cut"),
    [
        (f'  "image/png": "{"A" * 2000}",', '  "image/png": "[2,000 characters not shown]",'),
        (f'   "{"A" * 2000}\\n",', '   "[2,000 characters not shown]\\n",'),
        (f'   "{"A" * 2000}"]', '   "[2,000 characters not shown]"]'),
        (f'   "{"A" * 900}",', None),
        ('  "text/plain": "short"', None),
    ],
)
def test_only_long_values_are_cut(line, cut):
    assert cut_long_values(f"[\n{line}\n]") == f"[\n{cut or line}\n]"
