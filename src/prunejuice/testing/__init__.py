"""Scripted servers for tests: a model server, and forges on the loopback interface."""

from prunejuice.testing.forge import ForgeServer as Forge
from prunejuice.testing.gitea_server import GiteaServer as Gitea
from prunejuice.testing.gitlab_server import GitLabServer as GitLab
from prunejuice.testing.model_server import ModelServer
from prunejuice.testing.wire_format import Asked, Call, Reply

__all__ = ["Asked", "Call", "Forge", "GitLab", "Gitea", "ModelServer", "Reply"]
