"""The protocol of forges: pull requests and issues of one repository."""

from typing import NamedTuple, Protocol


class Issue(NamedTuple):
    """An issue; `body` is Markdown."""

    number: int
    title: str
    body: str
    url: str

    @property
    def text(self) -> str:
        """The whole issue as Markdown."""
        return f"# Issue {self.number}: {self.title}\n\n{self.url}\n\n{self.body.strip()}\n"


class Forge(Protocol):
    """One repository on a forge."""

    @property
    def title(self) -> str:
        """The repository and its forge, for messages: `octo/shop at https://api.github.com`."""
        ...

    @property
    def login_fix(self) -> str:
        """How to log in; empty when a login is there."""
        ...

    @property
    def is_public(self) -> bool:
        """Whether issues can be read without a login."""
        ...

    def open_pull_request(self, head: str, base: str, title: str, body: str, *, draft: bool) -> str:
        """Open a pull request and return its URL. An open one of the same branch is reused.

        `head` is a branch of the repository, or `path:branch` of the fork at a path, as in its URL.

        Raises:
            PublishError: the forge refused, or is unreachable.
            UsageError: the login is not accepted, or has no access.
        """
        ...

    def fetch_issue(self, number: int) -> Issue:
        """Return an issue.

        Raises:
            PublishError: the forge is unreachable.
            UsageError: the issue does not exist, or the login may not see it.
        """
        ...
