"""A client for the API of GitHub and GitHub Enterprise: pull requests and issues."""

from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

from prunejuice.errors import MissingToolError
from prunejuice.forges.forge import Issue
from prunejuice.forges.remote_url import parse_remote_url
from prunejuice.forges.rest import RestApi
from prunejuice.system import process
from prunejuice.text import safe_line

_GITHUB_API = "https://api.github.com"
_TOKEN_VARIABLES = ("GH_TOKEN", "GITHUB_TOKEN", "GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN")
"""Variables that `gh auth token` would return for any host; removed from its environment."""
_LOGIN_FIX = "set GH_TOKEN to a token with write access to the repository, or run `gh auth login`"


class ForgeRepository(NamedTuple):
    """A repository on a forge: the base URL of the API, the owner and the name."""

    api: str
    owner: str
    name: str


def parse_repository(url: str, environ: Mapping[str, str]) -> ForgeRepository | None:
    """Return the repository of a remote's URL; GITHUB_REPOSITORY and GITHUB_API_URL override it."""
    remote = parse_remote_url(url)
    path = environ.get("GITHUB_REPOSITORY") or (remote.path if remote else "")
    owner, _, name = path.partition("/")
    if not (owner and name) or "/" in name:
        return None
    host = remote.host if remote else "github.com"
    default_api = _GITHUB_API if host == "github.com" else f"https://{host}/api/v3"
    return ForgeRepository(environ.get("GITHUB_API_URL", "").rstrip("/") or default_api, owner, name)


def find_token(repository: ForgeRepository, environ: Mapping[str, str]) -> str:
    """Return the token for a forge, or "" if there is none.

    A token is sent only to the host that it is meant for, because the repository chooses the host.
    """
    host = _api_host(repository.api)
    host_variables = ("GH_ENTERPRISE_TOKEN",) if host == environ.get("GH_HOST") else ()
    for name in ("GH_TOKEN", "GITHUB_TOKEN") if _is_default_host(repository, environ) else host_variables:
        if environ.get(name):
            return environ[name]
    try:
        program = process.require_program("gh", environ.get("PATH"))
    except MissingToolError:
        return ""
    argv = [program, "auth", "token", "--hostname", host]
    env = {name: value for name, value in environ.items() if name not in _TOKEN_VARIABLES}
    result = process.capture_output(process.ProcessSpec(argv, "/", env, 20))
    return result.stdout.decode("utf-8", "replace").strip() if result.code == 0 else ""


def login_hint(repository: ForgeRepository, environ: Mapping[str, str]) -> str:
    """Return how to log in to a forge."""
    if _is_default_host(repository, environ):
        return "set GH_TOKEN, or run `gh auth login`"
    host = safe_line(_api_host(repository.api), 80)
    other = f"for a GitLab set GITLAB_HOST={host}, for a Gitea or Forgejo GITEA_SERVER_URL=https://{host}"
    return f"run `gh auth login --hostname {host}`, or set GH_HOST={host} and GH_ENTERPRISE_TOKEN; {other}"


def _is_default_host(repository: ForgeRepository, environ: Mapping[str, str]) -> bool:
    """Return whether tokens without a host, such as GH_TOKEN, are meant for this forge."""
    return repository.api in {_GITHUB_API, environ.get("GITHUB_API_URL", "").rstrip("/")}


def _api_host(api: str) -> str:
    """Return the host of an API."""
    return "github.com" if api == _GITHUB_API else urlsplit(api).netloc


class GitHub(NamedTuple):
    """The API of one repository, with a token or an empty one; implements `Forge`.

    `head_owner` owns the repository that branches are pushed to: another one for a fork.
    """

    repository: ForgeRepository
    token: str
    login_fix: str = ""
    is_public: bool = True
    head_owner: str = ""

    @property
    def title(self) -> str:
        """The repository and its API, for messages."""
        return f"{self.repository.owner}/{self.repository.name} at {self.repository.api}"

    def open_pull_request(self, head: str, base: str, title: str, body: str, *, draft: bool) -> str:
        """Open a pull request and return its URL. An open one of the same branch is reused.

        Raises:
            PublishError: the forge refused, or is unreachable.
            UsageError: the token is not accepted, or has no access.
        """
        fork, _, branch = head.rpartition(":")
        owner = fork.partition("/")[0] or self.head_owner or self.repository.owner
        # A branch of the repository itself needs no owner; one of a fork is not found without it.
        named = branch if owner == self.repository.owner else f"{owner}:{branch}"
        payload = {"title": title, "head": named, "base": base, "body": body, "draft": draft}
        status, answer = self._request("POST", "pulls", payload)
        if status == 201:
            return str(answer.get("html_url"))
        if status == 422 and "already exists" in _error_message(answer):
            _, existing = self._request("GET", f"pulls?state=open&head={quote(f'{owner}:{branch}')}")
            if isinstance(existing, list) and existing:
                return str(existing[0].get("html_url"))
        raise self._api.refusal_error(status, _error_message(answer))

    def fetch_issue(self, number: int) -> Issue:
        """Return an issue.

        Raises:
            UsageError: the issue does not exist, or the token has no access to it.
            PublishError: the forge refused, or is unreachable.
        """
        path = f"repos/{quote(self.repository.owner)}/{quote(self.repository.name)}/issues"
        return self._api.fetch_issue(path, number, ("title", "body", "html_url"), _error_message)

    @property
    def _api(self) -> RestApi:
        name = f"{self.repository.owner}/{self.repository.name}"
        headers = {"Accept": "application/vnd.github+json"}
        headers |= {"Authorization": f"Bearer {self.token}"} if self.token else {}
        return RestApi(self.repository.api, name, headers, _LOGIN_FIX)

    def _request(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        owner, name = quote(self.repository.owner), quote(self.repository.name)
        return self._api.request(method, f"repos/{owner}/{name}/{path}", body)


def _error_message(answer: Any) -> str:
    if not isinstance(answer, Mapping):
        return ""
    details = [
        str(
            error.get("message") or " ".join(str(error[key]) for key in ("field", "code") if error.get(key))
        )
        for error in answer.get("errors") or ()
        if isinstance(error, Mapping)
    ]
    return safe_line("; ".join(filter(None, [str(answer.get("message", "")), *details])), 300)


def connect(url: str, environ: Mapping[str, str]) -> GitHub | None:
    """Return the repository of a URL, with a token if one is found; None if the URL names no repository."""
    repository = parse_repository(url, environ)
    if repository is None:
        return None
    token = find_token(repository, environ)
    fix = "" if token else login_hint(repository, environ)
    remote = parse_remote_url(url)
    owner = remote.owner if remote else ""
    return GitHub(repository, token, fix, _is_default_host(repository, environ), owner)
