"""Every extension point: the kinds of alternatives that other packages can add."""

from prunejuice.agents import registry as agents
from prunejuice.code import languages
from prunejuice.edits import formats
from prunejuice.engine.stores import registry as stores
from prunejuice.forges import registry as forges
from prunejuice.sandbox.programs import registry as sandboxes
from prunejuice.steps import builtin
from prunejuice.system.extensions import ExtensionPoint
from prunejuice.verbs.verify import gates
from prunejuice.verbs.verify.runners import registry as test_runners


def extension_points() -> tuple[ExtensionPoint, ...]:
    """Return the extension points, in the order in which `prj doctor` lists them."""
    modules = (agents, forges, stores, formats, languages, builtin, gates, test_runners, sandboxes)
    return tuple(module.EXTENSIONS for module in modules)
