"""The parts of a git remote's URL that say on which forge a repository is."""

import re
from typing import NamedTuple
from urllib.parse import urlsplit

_URL = re.compile(
    r"^(?:(https?)://(?:[^@/]*@)?|ssh://(?:[^@/]*@)?|[\w.-]+@)([\w.-]+)(?::(\d+))?[:/](.+?)(?:\.git)?/?$"
)


class RemoteUrl(NamedTuple):
    """The host of a forge, with its port if the URL is one of the web, and the path of a repository."""

    host: str
    path: str

    @property
    def owner(self) -> str:
        """Everything before the name of the repository; a forge may have groups within groups."""
        return self.path.rpartition("/")[0]

    @property
    def name(self) -> str:
        """The name of the repository."""
        return self.path.rpartition("/")[2]


def parse_remote_url(url: str) -> RemoteUrl | None:
    """Return the parts of a URL, or None if it names no repository of an owner on a host."""
    match = _URL.match(url)
    if match is None or not all(match[4].partition("/")[::2]):
        return None
    port = f":{match[3]}" if match[1] and match[3] else ""
    return RemoteUrl(f"{match[2].lower()}{port}", match[4])


def split_server(text: str) -> tuple[str, str]:
    """Return the base URL and the host of a server that a person named, with or without a scheme."""
    base = text.strip().rstrip("/")
    base = base if "://" in base else f"https://{base}"
    return (base, urlsplit(base).netloc.lower()) if text.strip() else ("", "")
