"""Scripted servers for tests: a model server and a forge on the loopback interface."""

from prunejuice.testing.forge import ForgeServer as Forge
from prunejuice.testing.model_server import ModelServer
from prunejuice.testing.wire_format import Asked, Call, Reply

__all__ = ["Asked", "Call", "Forge", "ModelServer", "Reply"]
