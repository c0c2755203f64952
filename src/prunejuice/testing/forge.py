"""A forge on the loopback interface that accepts pull requests and has issues, like GitHub's API."""

import json
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from prunejuice.testing.loopback import LoopbackServer

_TOKEN = "not-a-token"  # noqa: S105 - a fake token for tests


class ForgeRequest(NamedTuple):
    """A request that the forge received."""

    method: str
    path: str
    token: str
    body: Mapping[str, Any]


class ForgeServer(LoopbackServer):
    """A forge that runs for the duration of a `with` statement.

    `sent` has the received requests. `refuses`, if set, is the status and message of every answer.
    Without `drafts` a draft is refused. `branches`, if set, are those that exist, each as `owner:name`; a
    request for any other is refused. `scheme` is the word before the token in a header.
    """

    scheme = "Bearer"

    def __init__(self, token: str = _TOKEN, issues: Mapping[int, tuple[str, str]] = {}) -> None:
        self.token, self.issues = token, issues
        self.sent: list[ForgeRequest] = []
        self.refuses: tuple[int, str] | None = None
        self.branches: set[str] | None = None
        self.drafts = True
        self._open: list[Mapping[str, Any]] = []
        self._opened = 0
        super().__init__(type("Handler", (_ForgeEndpoint,), {"forge": self}))

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that direct clients to this forge."""
        return {"GITHUB_API_URL": self.url, "GITHUB_REPOSITORY": "shop/cart", "GH_TOKEN": self.token}

    @property
    def pull_requests(self) -> Sequence[Mapping[str, Any]]:
        """The open pull requests, as they were sent, with their `html_url`."""
        return tuple(self._open)

    def close_pull_request(self, url: str) -> None:
        """Close a pull request, as a person does who merges or rejects it."""
        self._open = [pull for pull in self._open if pull["html_url"] != url]

    def answer(self, request: ForgeRequest) -> tuple[int, Any]:
        """Store a request, and return the status and body of the answer."""
        self.sent.append(request)
        if self.refuses:
            return self.refuses[0], {"message": self.refuses[1]}
        if request.token != f"{self.scheme} {self.token}":
            return 401, {"message": "Bad credentials"}
        return self.answer_allowed(request)

    def answer_allowed(self, request: ForgeRequest) -> tuple[int, Any]:
        """Return the status and body of the answer to a request with the right token."""
        path = request.path.partition("?")[0].removeprefix("/repos/shop/cart/")
        if path == "pulls" and request.method == "POST":
            return self._open_pull_request(request.body)
        if path == "pulls":
            return 200, self._find_open(request.path.partition("?")[2])
        if issue := self.find_issue(path):
            number, title, body = issue
            return 200, {"title": title, "body": body, "html_url": f"{self.url}/issues/{number}"}
        return 404, {"message": "Not Found"}

    def find_issue(self, path: str) -> tuple[int, str, str] | None:
        """Return the number, title and text of the issue at the end of a path, or None."""
        number = path.removeprefix("issues/")
        if number.isdigit() and int(number) in self.issues:
            return int(number), *self.issues[int(number)]
        return None

    def add_request(self, **fields: Any) -> str:
        """Keep an open pull request, and return its URL."""
        self._opened += 1
        url = f"https://forge.test/shop/cart/pull/{self._opened}"
        self._open.append({**fields, "html_url": url})
        return url

    def _find_open(self, query: str) -> list[Mapping[str, Any]]:
        """Return the open pull requests, of one branch if the query names it as `owner:name`."""
        wanted = dict(parse_qsl(query)).get("head", "")
        names = {wanted, wanted.removeprefix("shop:")}
        return [pull for pull in self._open if not wanted or pull["head"] in names]

    def _open_pull_request(self, body: Mapping[str, Any]) -> tuple[int, Any]:
        owner, _, branch = str(body.get("head")).rpartition(":")
        if self.branches is not None and f"{owner or 'shop'}:{branch}" not in self.branches:
            errors = [{"resource": "PullRequest", "field": "head", "code": "invalid"}]
            return 422, {"message": "Validation Failed", "errors": errors}
        if body.get("draft") and not self.drafts:
            return 422, {"message": "Draft pull requests are not supported in this repository."}
        if any(pull["head"] == body.get("head") for pull in self._open):
            errors = [{"message": f"A pull request already exists for shop:{body.get('head')}."}]
            return 422, {"message": "Validation Failed", "errors": errors}
        return 201, {"html_url": self.add_request(**body)}


def split_draft(title: str, mark: str) -> dict[str, Any]:
    """Return the title of a pull request without the words that mark a draft, and whether it has them."""
    return {"title": title.removeprefix(mark), "draft": title.startswith(mark)}


class _ForgeEndpoint(BaseHTTPRequestHandler):
    forge: ForgeServer

    def do_GET(self) -> None:
        """Answer a GET request."""
        self._respond("GET")

    def do_POST(self) -> None:
        """Answer a POST request."""
        self._respond("POST")

    def _respond(self, method: str) -> None:
        text = self.rfile.read(int(self.headers.get("content-length") or 0))
        body = json.loads(text) if text else {}
        token = self.headers.get("authorization") or ""
        status, answer = self.forge.answer(ForgeRequest(method, self.path, token, body))
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Log nothing."""
