"""A client for the API of Gitea and Forgejo: pull requests and issues."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from prunejuice.errors import PruneJuiceError
from prunejuice.forges.forge import Issue
from prunejuice.forges.remote_url import RemoteUrl, parse_remote_url, split_server
from prunejuice.forges.rest import RestApi
from prunejuice.system import yaml_reader
from prunejuice.text import safe_line

_PUBLIC_HOSTS = ("codeberg.org", "gitea.com")
_NAMES = {"gitea", "forgejo", "codeberg"}
_VARIABLES = (("GITEA_SERVER_URL", "GITEA_SERVER_TOKEN"), ("FORGEJO_URL", "FORGEJO_TOKEN"))
"""Variables with the URL of a server and the token that is meant for it."""


class Gitea(NamedTuple):
    """The API of one repository; implements `Forge`."""

    api: RestApi
    repository: RemoteUrl
    login_fix: str = ""
    is_public: bool = True

    @property
    def title(self) -> str:
        """The repository and its API, for messages."""
        return f"{self.repository.path} at {self.api.url}"

    def open_pull_request(self, head: str, base: str, title: str, body: str, *, draft: bool) -> str:
        """Open a pull request and return its URL. An open one of the same branch is reused.

        Raises:
            PublishError: the forge refused, or is unreachable.
            UsageError: the token is not accepted, or has no access.
        """
        fork, _, branch = head.rpartition(":")
        owner = fork.partition("/")[0] or self.repository.owner
        named = branch if owner == self.repository.owner else f"{owner}:{branch}"
        # A title that begins so makes a draft.
        payload = {"title": f"WIP: {title}" if draft else title, "head": named, "base": base, "body": body}
        status, answer = self._request("POST", "pulls", payload)
        if status == 201:
            return str(answer.get("html_url"))
        if status == 409 and (url := self._find_open(owner, branch, base)):
            return url
        raise self.api.refusal_error(status, _error_message(answer))

    def fetch_issue(self, number: int) -> Issue:
        """Return an issue.

        Raises:
            UsageError: the issue does not exist, or the token has no access to it.
            PublishError: the forge refused, or is unreachable.
        """
        path = f"repos/{quote(self.repository.owner)}/{quote(self.repository.name)}/issues"
        return self.api.fetch_issue(path, number, ("title", "body", "html_url"), _error_message)

    def _find_open(self, owner: str, branch: str, base: str) -> str:
        """Return the URL of the open pull request from a branch of an owner, or an empty string."""
        page = 1
        while True:
            _, pulls = self._request("GET", f"pulls?state=open&limit=50&page={page}")
            if not isinstance(pulls, list) or not pulls:
                return ""
            for pull in pulls:
                head, target = pull.get("head") or {}, pull.get("base") or {}
                repository = head.get("repo") or {}
                its_owner = str((repository.get("owner") or {}).get("login") or self.repository.owner)
                if (its_owner, head.get("ref"), target.get("ref")) == (owner, branch, base):
                    return str(pull.get("html_url"))
            page += 1

    def _request(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        owner, name = quote(self.repository.owner), quote(self.repository.name)
        return self.api.request(method, f"repos/{owner}/{name}/{path}", body)


def _error_message(answer: Any) -> str:
    return safe_line(str(answer.get("message") or ""), 300) if isinstance(answer, Mapping) else ""


def connect(url: str, environ: Mapping[str, str]) -> Gitea | None:
    """Return the repository of a URL on a host of Gitea or Forgejo that is known or has a login."""
    remote = parse_remote_url(url)
    if remote is None or "/" in remote.owner:
        return None
    named = {host: (base, token) for base, host, token in _list_logins(environ)}
    is_known = remote.host in _PUBLIC_HOSTS or not _NAMES.isdisjoint(remote.host.split("."))
    if not (is_known or remote.host in named):
        return None
    server, token = named.get(remote.host, (f"https://{remote.host}", ""))
    host = safe_line(remote.host, 80)
    fix = f"run `tea login add`, or set GITEA_SERVER_URL=https://{host} and GITEA_SERVER_TOKEN"
    headers = {"Authorization": f"token {token}"} if token else {}
    api = RestApi(f"{server}/api/v1", remote.path, headers, fix)
    return Gitea(api, remote, "" if token else fix, remote.host in _PUBLIC_HOSTS)


def _list_logins(environ: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Return the base URL, the host and the token of each login: those of tea, then those of variables."""
    found = [
        (*split_server(str(login.get("url", ""))), str(login.get("token", "")))
        for login in _read_tea(environ)
    ]
    for url_variable, token_variable in _VARIABLES:
        if environ.get(url_variable):
            found.append((*split_server(environ[url_variable]), environ.get(token_variable, "")))
    return [login for login in found if login[1]]


def _read_tea(environ: Mapping[str, str]) -> list[Mapping[str, Any]]:
    """Return the logins in the configuration of tea."""
    folder = environ.get("XDG_CONFIG_HOME") or Path(environ.get("HOME", "/"), ".config")
    path = Path(folder, "tea/config.yml")
    with suppress(OSError, ValueError, PruneJuiceError):
        data = yaml_reader.parse(path.read_text(), str(path)).data
        logins = data.get("logins") if isinstance(data, Mapping) else None
        return [login for login in logins or () if isinstance(login, Mapping)]
    return []
