"""Find the forge of a repository's remote."""

from collections.abc import Mapping

from prunejuice.errors import UsageError
from prunejuice.forges import branch
from prunejuice.forges.forge import Forge
from prunejuice.system.extensions import ExtensionPoint
from prunejuice.text import safe_line
from prunejuice.worktrees.git import Git

EXTENSIONS = ExtensionPoint(
    "prunejuice.forges",
    {
        "github": "prunejuice.forges.github:connect",
        "gitea": "prunejuice.forges.gitea:connect",
        "gitlab": "prunejuice.forges.gitlab:connect",
    },
)
"""Forges by name: a function `(url, environ) → Forge | None`, None for a URL of another forge."""


def find_forge(url: str, environ: Mapping[str, str]) -> Forge:
    """Return the forge of a remote's URL.

    Forges of other packages are asked first, and GitHub last: it accepts any host.

    Raises:
        UsageError: no forge accepts the URL.
    """
    for name in reversed(EXTENSIONS.names()):
        forge: Forge | None = EXTENSIONS.load(name)(url, environ)
        if forge is not None:
            return forge
    problem = f"{safe_line(branch.redact_url(url), 200)} is not on a known forge"
    raise UsageError(problem, "set GITHUB_REPOSITORY=owner/name, or add a remote on a forge")


def open_forge(git: Git, environ: Mapping[str, str], remote: str = "") -> Forge:
    """Return the forge of a repository's remote, ready to read from.

    Raises:
        UsageError: there is no remote, its forge is unknown, or requires a login.
    """
    try:
        found = branch.find_remote(git, remote)
        found = found if remote else branch.find_upstream(git, found)
        url = found.forge_url or found.url
    except UsageError:
        if not environ.get("GITHUB_REPOSITORY"):
            raise
        url = ""
    forge = find_forge(url, environ)
    if forge.login_fix and not forge.is_public:
        problem = f"you are not logged in to the forge of {safe_line(branch.redact_url(url), 200)}"
        raise UsageError(problem, forge.login_fix)
    return forge
