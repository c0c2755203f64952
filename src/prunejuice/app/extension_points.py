"""Every extension point: the kinds of alternatives that other packages can add."""

from prunejuice.agents import registry
from prunejuice.code import languages
from prunejuice.edits import formats
from prunejuice.engine import stores
from prunejuice.forges import forge
from prunejuice.steps import builtin
from prunejuice.system.extensions import ExtensionPoint
from prunejuice.verbs.verify import gates


def extension_points() -> tuple[ExtensionPoint, ...]:
    """Return the extension points, in the order in which `prj doctor` lists them."""
    modules = (registry, forge, stores, formats, languages, builtin, gates)
    return tuple(module.EXTENSIONS for module in modules)
