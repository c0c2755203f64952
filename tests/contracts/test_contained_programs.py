"""The real Claude Code and Codex, and an agent that speaks ACP, at work in a sandbox."""

import os
from pathlib import Path

import pytest
from test_programs import AGENT, DONE, KINDS, PATHS, SCHEMA, changes, even
from test_programs import world as world

from prunejuice.agents.protocol import Task, collect_result
from prunejuice.environments.place_sandbox import PlaceSandbox
from prunejuice.sandbox.permissions import Containment, Permissions
from prunejuice.sandbox.programs.bwrap import Bubblewrap
from prunejuice.sandbox.programs.registry import find_program
from prunejuice.steps.containment import agent_container

pytestmark = pytest.mark.skipif(
    bool(Bubblewrap().find_problem(os.environ)[0]), reason="no sandbox can be made here"
)
SECRET = "correct-horse-battery"


@pytest.fixture(params=["files", "files+net"])
def contained(request, world, tmp_path):
    """Makes the world of a kind of agent in a sandbox, with what was refused."""
    refused = []

    def made(kind):
        found = world(kind)
        found.script = tmp_path / "script/script.json"  # the agent writes beside it
        found.script.parent.mkdir()
        home = Path(found.environ["HOME"])
        (home / ".ssh").mkdir()
        (home / ".ssh/id").write_text(SECRET)
        environ = {**found.environ, "PATH": f"{found.environ['PATH']}:{os.environ['PATH']}"}
        sandbox = PlaceSandbox(
            find_program("bwrap", environ),
            Containment(
                request.param, Permissions(write=(str(found.script.parent),), read=(str(AGENT.parent),))
            ),
            environ,
            refused.append,
        )
        named = kind if kind in PATHS else "acp:other"
        found.contain = agent_container(sandbox, named, found.tree, tmp_path / "folders")
        return found

    made.refused = refused
    made.mode = request.param
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_its_changes_come_back_and_the_tree_is_unchanged(contained, kind):
    found = contained(kind)
    events = found.run(Task("fix it"), {"write": ["cart.py", DONE]}, {"text": "The sum was missing."})
    assert changes(events) == {"cart.py": DONE}
    assert (found.tree / "cart.py").read_text() != DONE
    assert kind == "acp" or collect_result(events).usage.input > 0


@pytest.mark.parametrize("kind", KINDS)
def test_its_result_is_submitted_to_our_endpoint(contained, kind):
    found = contained(kind)
    said = [{"submit": {"n": 1}}, {"submit": {"n": 4}}, {"text": "done"}]
    events = found.run(Task("count", schema=SCHEMA, check=even, access="read"), *said)
    assert events[-1].output == {"n": 4}


@pytest.mark.parametrize("kind", KINDS)
def test_its_commands_see_no_keys_and_change_nothing_outside(contained, kind, tmp_path):
    found = contained(kind)
    mark, home = tmp_path / "mark", found.environ["HOME"]
    command = f"cat {home}/.ssh/id >> stolen.txt; touch {mark}; echo ran > ran.txt"
    events = found.run(Task("run it", access="full"), {"command": command}, {"text": "done"})
    made = changes(events)
    assert made["ran.txt"] == "ran\n"
    assert SECRET not in made.get("stolen.txt", "")
    assert not mark.exists()


@pytest.mark.parametrize("kind", ["claude", "codex"])
def test_its_commands_reach_only_the_hosts_of_its_models(contained, kind):
    found = contained(kind)
    url = "http://files.example.org/x"
    command = f"curl -s -m 5 {url} > answer.txt; echo ran > ran.txt"
    events = found.run(Task("run it", access="full"), {"command": command}, {"text": "done"})
    assert changes(events)["ran.txt"] == "ran\n"
    names = [each.target for each in contained.refused]
    assert ("files.example.org" in names) == (contained.mode == "files+net")


@pytest.mark.parametrize("kind", ["claude", "codex"])
def test_its_conversation_can_be_continued(contained, kind):
    found = contained(kind)
    events = found.run(Task("remember 7"), {"text": "I remember."})
    conversation = next(each.conversation for each in events if getattr(each, "conversation", ""))
    found.run(Task("which number?", conversation=conversation), {"text": "7"})
    assert "remember 7" in str(found.server.asked[-1].body)
