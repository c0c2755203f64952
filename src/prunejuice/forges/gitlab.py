"""A client for the API of GitLab: merge requests and issues."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from prunejuice.errors import MissingToolError
from prunejuice.forges.forge import Issue
from prunejuice.forges.remote_url import parse_remote_url, split_server
from prunejuice.forges.rest import RestApi
from prunejuice.system import process
from prunejuice.text import safe_line

_PUBLIC_HOST = "gitlab.com"
_NUMBER = re.compile(r"!(\d+)")
"""The number of a merge request in a message."""
_TOKEN_VARIABLES = ("GITLAB_TOKEN", "GITLAB_ACCESS_TOKEN", "OAUTH_TOKEN")
"""Variables that glab takes for any host; removed from its environment."""


class GitLab(NamedTuple):
    """The API of one project at a path, such as `group/shop`; implements `Forge`."""

    api: RestApi
    path: str
    login_fix: str = ""
    is_public: bool = True

    @property
    def title(self) -> str:
        """The project and its API, for messages."""
        return f"{self.path} at {self.api.url}"

    def open_pull_request(self, head: str, base: str, title: str, body: str, *, draft: bool) -> str:
        """Open a merge request and return its URL. An open one of the same branch is reused.

        Raises:
            PublishError: the forge refused, or is unreachable.
            UsageError: the token is not accepted, or has no access.
        """
        fork, _, branch = head.rpartition(":")
        payload: dict[str, Any] = {
            "source_branch": branch,
            "target_branch": base,
            "title": f"Draft: {title}" if draft else title,
            "description": body,
        }
        if fork and fork != self.path:
            payload["target_project_id"] = self._find_project_id()
        source = f"projects/{quote(fork or self.path, safe='')}"
        status, answer = self.api.request("POST", f"{source}/merge_requests", payload)
        if status == 201:
            return str(answer.get("web_url"))
        if status == 409:
            # The message names it; others may have opened one from a branch of the same name.
            number = _NUMBER.search(_error_message(answer))
            status, existing = self._request("GET", f"merge_requests/{number[1]}") if number else (0, {})
            if status == 200:
                return str(existing.get("web_url"))
        raise self.api.refusal_error(status, _error_message(answer))

    def fetch_issue(self, number: int) -> Issue:
        """Return an issue.

        Raises:
            UsageError: the issue does not exist, or the token has no access to it.
            PublishError: the forge refused, or is unreachable.
        """
        path = f"projects/{quote(self.path, safe='')}/issues"
        return self.api.fetch_issue(path, number, ("title", "description", "web_url"), _error_message)

    def _find_project_id(self) -> int:
        status, answer = self.api.request("GET", f"projects/{quote(self.path, safe='')}")
        if status != 200 or not isinstance(answer.get("id"), int):
            raise self.api.refusal_error(status, _error_message(answer))
        return int(answer["id"])

    def _request(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        return self.api.request(method, f"projects/{quote(self.path, safe='')}/{path}", body)


def _error_message(answer: Any) -> str:
    if not isinstance(answer, Mapping):
        return ""
    said = answer.get("message") or answer.get("error_description") or answer.get("error") or ""
    if isinstance(said, Mapping):
        said = [f"{name} {value}" for name, value in said.items()]
    return safe_line("; ".join(map(str, said)) if isinstance(said, list) else str(said), 300)


def connect(url: str, environ: Mapping[str, str]) -> GitLab | None:
    """Return the project of a URL on gitlab.com, on a host named after GitLab, or on `GITLAB_HOST`."""
    remote = parse_remote_url(url)
    base, own_host = split_server(environ.get("GITLAB_HOST", ""))
    if remote is None:
        return None
    is_own = remote.host == own_host
    if not (is_own or remote.host == _PUBLIC_HOST or "gitlab" in remote.host.split(".")):
        return None
    server = base if is_own else f"https://{remote.host}"
    # A token without a host is sent to no host that only a repository names.
    is_meant = is_own or (remote.host == _PUBLIC_HOST and not own_host)
    token = _find_token(remote.host, environ, is_meant=is_meant)
    host = safe_line(remote.host, 80)
    fix = f"run `glab auth login --hostname {host}`, or set GITLAB_HOST={host} and GITLAB_TOKEN"
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    api = RestApi(f"{server}/api/v4", remote.path, headers, fix)
    return GitLab(api, remote.path, "" if token else fix, remote.host == _PUBLIC_HOST)


def _find_token(host: str, environ: Mapping[str, str], *, is_meant: bool) -> str:
    """Return the token for a host: that of the variables if they are meant for it, or that of glab."""
    given = next((environ[name] for name in _TOKEN_VARIABLES if environ.get(name)), "")
    if given and is_meant:
        return given
    try:
        program = process.require_program("glab", environ.get("PATH"))
    except MissingToolError:
        return ""
    env = {name: value for name, value in environ.items() if name not in _TOKEN_VARIABLES}
    call = process.ProcessSpec([program, "config", "get", "token", "--host", host], "/", env, 20)
    result = process.capture_output(call)
    return result.stdout.decode("utf-8", "replace").strip() if result.code == 0 else ""
