"""A forge on the loopback interface: it takes pull requests and has issues, in GitHub's words."""

import json
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from typing import Any, NamedTuple

from prunejuice.testing.loopback import Loopback

_TOKEN = "not-a-token"  # noqa: S105 - that is what it says


class Sent(NamedTuple):
    """A request that the forge had."""

    method: str
    path: str
    token: str
    body: Mapping[str, Any]


class Forge(Loopback):
    """Answers until the end of its `with`; `sent` are the requests it had, `refuses` a status for all."""

    def __init__(self, token: str = _TOKEN, issues: Mapping[int, tuple[str, str]] = {}) -> None:
        self.token, self.issues = token, issues
        self.sent: list[Sent] = []
        self.refuses: tuple[int, str] | None = None
        self._open: list[Mapping[str, Any]] = []
        super().__init__(type("Handler", (_Requests,), {"forge": self}))

    @property
    def environment(self) -> dict[str, str]:
        """The variables that lead clients here and nowhere else."""
        return {"GITHUB_API_URL": self.url, "GITHUB_REPOSITORY": "shop/cart", "GH_TOKEN": self.token}

    def answer(self, sent: Sent) -> tuple[int, Any]:
        """Keep a request, and say what is answered."""
        self.sent.append(sent)
        if self.refuses:
            return self.refuses[0], {"message": self.refuses[1]}
        if sent.token != f"Bearer {self.token}":
            return 401, {"message": "Bad credentials"}
        path = sent.path.partition("?")[0].removeprefix("/repos/shop/cart/")
        if path == "pulls" and sent.method == "POST":
            return self._pull(sent.body)
        if path == "pulls":
            return 200, self._open
        number = path.removeprefix("issues/")
        if number.isdigit() and int(number) in self.issues:
            title, body = self.issues[int(number)]
            return 200, {"title": title, "body": body, "html_url": f"{self.url}/issues/{number}"}
        return 404, {"message": "Not Found"}

    def _pull(self, body: Mapping[str, Any]) -> tuple[int, Any]:
        if any(each["head"] == body.get("head") for each in self._open):
            errors = [{"message": f"A pull request already exists for shop:{body.get('head')}."}]
            return 422, {"message": "Validation Failed", "errors": errors}
        made = {**body, "html_url": f"https://forge.test/shop/cart/pull/{len(self._open) + 1}"}
        self._open.append(made)
        return 201, made


class _Requests(BaseHTTPRequestHandler):
    forge: Forge

    def do_GET(self) -> None:
        """Answer."""
        self._answer("GET")

    def do_POST(self) -> None:
        """Answer."""
        self._answer("POST")

    def _answer(self, method: str) -> None:
        text = self.rfile.read(int(self.headers.get("content-length") or 0))
        body = json.loads(text) if text else {}
        token = self.headers.get("authorization") or ""
        status, said = self.forge.answer(Sent(method, self.path, token, body))
        data = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""
