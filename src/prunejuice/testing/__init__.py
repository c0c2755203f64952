"""What tests of commands need: a model server and a forge on this machine that do what they are told."""

from prunejuice.testing.forge import Forge
from prunejuice.testing.server import ModelServer
from prunejuice.testing.wires import Asked, Call, Reply

__all__ = ["Asked", "Call", "Forge", "ModelServer", "Reply"]
