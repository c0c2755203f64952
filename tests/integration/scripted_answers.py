"""Scripted answers in each edit format, and a context for asking."""

from prunejuice.agents.scripted import ScriptedAgent, ScriptedAnswer
from prunejuice.changes import tree_state
from prunejuice.context.engine import Engine
from prunejuice.system import settings
from prunejuice.verbs import ask
from prunejuice.verbs.verb import Verb

FIX = Verb("fix", "Make a failing command pass", "Make the check pass.", mends=True)
FORMATS = ("search-replace", "whole-file", "unified-diff", "apply-patch")


def answer(form, path, old, new):
    """An answer that makes of the lines `old` the lines `new`, in a format."""
    if form == "search-replace":
        return f"{path}\n<<<<<<< SEARCH\n{old}=======\n{new}>>>>>>> REPLACE\n"
    minus = "".join(f"-{line}" for line in old.splitlines(keepends=True))
    plus = "".join(f"+{line}" for line in new.splitlines(keepends=True))
    if form == "unified-diff":
        return f"--- a/{path}\n+++ b/{path}\n@@ -1,1 +1,1 @@\n{minus}{plus}"
    return f"*** Begin Patch\n*** Update File: {path}\n@@\n{minus}{plus}*** End Patch\n"


def whole(path, text):
    return f"{path}\n```python\n{text}```\n"


_engines = []


def means(place, answers, stop):
    environ = settings.environment()
    while _engines:  # those of the tests before, so that their files do not add up
        _engines.pop().close()
    _engines.append(Engine(place, environ))
    script = ScriptedAgent([ScriptedAnswer(text=text) for text in answers])
    return ask.AskContext(_engines[0], tree_state.find_tree_state(place, environ), script, stop)
