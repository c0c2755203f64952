"""What tests of commands need: a model server on this machine that says what it is told to say."""

from prunejuice.testing.server import ModelServer
from prunejuice.testing.wires import Asked, Call, Reply

__all__ = ["Asked", "Call", "ModelServer", "Reply"]
