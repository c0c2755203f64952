"""Answers that scripts give, in each format, and what asking works with for them."""

from prunejuice import asking, settings
from prunejuice.agents.scripted import Script, Scripted
from prunejuice.contexts.gather import Engine
from prunejuice.verb import Verb
from prunejuice.workspaces import house as houses

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


def means(place, answers, stop):
    environ = settings.environment()
    script = Script([Scripted(text=text) for text in answers])
    return asking.Means(Engine(place, environ), houses.around(place, environ), script, stop)
