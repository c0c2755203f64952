"""The environment variables that the clients of models read: completed, and checked before a request."""

from collections.abc import Mapping, MutableMapping
from pathlib import Path
from urllib.parse import urlsplit

from prunejuice.errors import UsageError

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_KEY_SUFFIX = "_API_KEY"
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
_PROXIES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
_OLLAMA_PORT = 11434
_WITHOUT_PATH = {"ANTHROPIC", "GOOGLE"}
"""Providers whose base URL has no path."""


def prepare_model_environment(environ: MutableMapping[str, str], names: str) -> None:
    """Complete the variables for the models `names`, so that their clients connect.

    Raises:
        UsageError: a certificate file is missing, or a key has a character that no header may have.
    """
    _exclude_loopback_from_proxies(environ)
    if "ollama:" in names:
        environ["OLLAMA_BASE_URL"] = ollama_url(environ)
    for name in _CERTIFICATES:
        if environ.get(name) and not Path(environ[name]).exists():
            fix = f"set {name} to your certificates, or unset it"
            raise UsageError(f"{name} names a file that does not exist: {environ[name]}", fix)
    for name in [name for name in environ if name.endswith(_KEY_SUFFIX)]:
        environ[name] = environ[name].strip()  # a line break from the end of a file is no part of a key


def require_valid_key(key: object, environ: Mapping[str, str]) -> None:
    """Raise `UsageError` if a client would put a key into a header that cannot hold it."""
    if not isinstance(key, str) or (key.isascii() and key.isprintable()):
        return
    name = next((name for name, value in environ.items() if value == key), "the API key")
    raise UsageError(f"{name} has a line break or another character that no key has", f"set {name} again")


def _exclude_loopback_from_proxies(environ: MutableMapping[str, str]) -> None:
    """Let no proxy of the environment stand before a server on this machine, such as a local model."""
    for name in ("NO_PROXY", "no_proxy"):
        hosts = [host.strip() for host in environ.get(name, "").split(",") if host.strip()]
        if "*" not in hosts and (hosts or name == "NO_PROXY"):
            environ[name] = ",".join(dict.fromkeys([*hosts, *_LOOPBACK]))


def ollama_url(environ: Mapping[str, str]) -> str:
    """Return the base URL of Ollama: OLLAMA_BASE_URL, or else OLLAMA_HOST, or else its default address."""
    named = environ.get("OLLAMA_BASE_URL", "").strip()
    address = named or environ.get("OLLAMA_HOST", "").strip() or "127.0.0.1"
    url = urlsplit(address if "://" in address else f"http://{address}")
    if named:
        return named if url.path.strip("/") else f"{named.rstrip('/')}/v1"
    host = url.hostname or "127.0.0.1"
    host = "127.0.0.1" if host in {"0.0.0.0", "::"} else host  # noqa: S104 - where a server listens
    host = f"[{host}]" if ":" in host else host
    default_port = {"https": 443}.get(url.scheme, _OLLAMA_PORT if "://" not in address else 80)
    return f"{url.scheme}://{host}:{url.port or default_port}{url.path.rstrip('/')}/v1"


def proxy_hint(environ: Mapping[str, str]) -> str:
    """Return the variables that name a proxy, as advice to check them; empty if there are none."""
    found = [name for name in _PROXIES if environ.get(name)]
    return f", and the proxy in {' and '.join(found[:2])}" if found else ""


def url_hint(environ: Mapping[str, str], names: str) -> str:
    """Return advice on a base URL of the models `names` that has no path; empty if there is none."""
    providers = {name.strip().partition(":")[0].partition("-")[0].upper() for name in names.split(",")}
    for variable in (f"{provider}_BASE_URL" for provider in sorted(providers - _WITHOUT_PATH)):
        url = environ.get(variable, "").rstrip("/")
        if url and not urlsplit(url).path:
            return f", or set {variable} to {url}/v1"
    return ""
