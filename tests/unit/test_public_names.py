"""Moved and renamed public names still work, with a warning."""

import importlib
import sys
import warnings

import pytest

import codebot
import codeclip
import prunejuice
from prunejuice import Workflow, WorkflowStep
from prunejuice.context.request import ContextOptions, ContextRequest
from prunejuice.engine.run import Run
from prunejuice.verbs.results import CodeFix

FLOW = Workflow("w", steps={"a": WorkflowStep(name="a", script="true")}, entry_point="a")
FIX = CodeFix(file_path="a.py", original_content="", new_content="x", reason="why")


@pytest.mark.parametrize(
    ("old", "public", "name"),
    [
        ("prunejuice.change", codebot, "ChangeSet"),
        ("prunejuice.command", prunejuice, "Argument"),
        ("prunejuice.extension", codebot, "register_command"),
        ("prunejuice.library", codebot, "Command"),
        ("prunejuice.results", codebot, "DebugResult"),
        ("prunejuice.review", codebot, "ReviewDecision"),
        ("prunejuice.run", prunejuice, "Run"),
        ("prunejuice.submission", codebot, "PRSubmission"),
        ("prunejuice.summary", codebot, "SummaryResult"),
    ],
)
def test_a_module_that_moved_gives_its_public_names(old, public, name):
    sys.modules.pop(old, None)
    with pytest.warns(DeprecationWarning, match=f"{old} moved to"):
        module = importlib.import_module(old)
    assert getattr(module, name) is getattr(public, name)


def test_names_of_a_package_that_stayed_warn_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        from prunejuice.errors import UsageError
        from prunejuice.workflow import Step, Workflow
    assert (Step, Workflow, UsageError) == (prunejuice.Step, prunejuice.Workflow, codebot.UsageError)


def test_an_unknown_module_is_unknown():
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("prunejuice.nothing")


@pytest.mark.parametrize(
    ("value", "old", "new"),
    [
        (FLOW, "groups", "parallel_groups"),
        (FLOW, "stages", "steps_by_stage"),
        (FLOW, "beginnings", "entry_steps"),
        (FLOW.steps["a"], "usual_timeout", "default_timeout"),
    ],
)
def test_a_property_that_was_renamed_gives_the_same(value, old, new):
    with pytest.warns(DeprecationWarning, match=new):
        assert getattr(value, old) == getattr(value, new)


def test_a_method_that_was_renamed_gives_the_same():
    with pytest.warns(DeprecationWarning, match="to_file_change"):
        assert FIX.change() == FIX.to_file_change()
    for name in ("of", "last", "running", "blocked"):
        assert isinstance(vars(Run)[name], property)


def test_the_lazy_names_are_those_of_the_type_checker():
    for package in (prunejuice, codebot, codeclip):
        for name in package.__all__:
            assert getattr(package, name) is not None, name
    with pytest.raises(AttributeError, match="nothing"):
        codebot.nothing  # noqa: B018


def test_each_field_of_a_context_request_is_a_keyword_argument():
    assert ContextOptions.__annotations__.keys() == {*ContextRequest._fields}


def test_the_signatures_of_the_seed_work(tmp_path):
    step = codebot.WorkflowStep(name="Tests", script="true", condition="args.fast == true")
    assert step.id.startswith("step_")
    assert step.should_execute({"args": {"fast": True}})
    assert not step.should_execute({"args": {}})
    copy = step.model_copy()
    assert copy == step
    assert step.model_copy(update={"on_success": "b"}).on_success == "b"
    assert FLOW.model_copy(update={"name": "v"}).name == "v"
    assert codebot.SummaryCache(tmp_path / ".codebot/summaries")._directory == tmp_path
    assert codebot.SummaryCache(tmp_path)._directory == tmp_path
