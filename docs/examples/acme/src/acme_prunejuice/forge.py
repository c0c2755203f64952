"""A forge whose repositories are `acme://OWNER/NAME`; it keeps everything in memory."""

from collections.abc import Mapping

from prunejuice.errors import UsageError
from prunejuice.forges.forge import Forge, Issue

_REPOSITORIES: dict[str, dict[str, str]] = {}


class AcmeForge:
    """One repository."""

    is_public = True

    def __init__(self, name: str, token: str) -> None:
        self.title = f"{name} at acme"
        self.login_fix = "" if token else "set ACME_TOKEN"
        self._pulls = _REPOSITORIES.setdefault(name, {})

    def open_pull_request(self, head: str, base: str, title: str, body: str, *, draft: bool) -> str:
        """Open a pull request, or return the open one of the branch."""
        return self._pulls.setdefault(head, f"acme://pulls/{len(self._pulls) + 1}")

    def fetch_issue(self, number: int) -> Issue:
        """Return one of ten issues."""
        if number > 10:
            raise UsageError(f"no issue {number}", "name one up to 10")
        return Issue(number, "An issue", "Its text.", f"acme://issues/{number}")


def connect(url: str, environ: Mapping[str, str]) -> Forge | None:
    """Return the repository of an `acme:` URL, None for any other."""
    scheme, _, name = url.partition("://")
    return AcmeForge(name, environ.get("ACME_TOKEN", "")) if scheme == "acme" else None
