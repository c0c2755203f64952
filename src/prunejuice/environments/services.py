"""Run the services of a project, such as a database, beside the code of one tree."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from prunejuice.environments.place import Place
from prunejuice.environments.ports import allocate_ports, port_variables
from prunejuice.errors import GateError, LimitError, StepError
from prunejuice.system import process
from prunejuice.system.output import OutputLog
from prunejuice.system.process import ExitStatus, ProcessSpec, Sink
from prunejuice.system.settings import Settings
from prunejuice.system.stop_request import STOP, Stop
from prunejuice.text import safe_line

_POLL_SECONDS = 0.1
_PROBE_SECONDS = 10.0
_LOG_BYTES = 20_000_000
_SHOWN_LINES = 8
_FIX = "the settings services and services_ready"
_FOREVER = 10 * 365 * 86_400.0


class Services:
    """The services of one tree: a command that runs until `stop` is called.

    `call` has the directory, the variables and the tag of its processes. Its output goes to `log`, with the
    values in `hidden` masked.
    """

    def __init__(
        self,
        settings: Settings,
        call: ProcessSpec,
        log: Path,
        hidden: Sequence[str] = (),
        *,
        run: Callable[[ProcessSpec, Sink, Stop], ExitStatus] = process.run,
    ) -> None:
        self._ready, self._seconds = settings.services_ready, settings.services_timeout
        argv = process.bash_argv(settings.services, call.env.get("PATH"))
        self._call = call._replace(argv=argv, timeout=_FOREVER, grace=settings.grace)
        self._log, self._hidden = log, tuple(hidden)
        self._execute = run
        self._stop = Stop()
        self._ended: ExitStatus | None = None
        self._were_ready = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="services", daemon=True)

    def ensure_running(self, stop: Stop) -> None:
        """Start the services and wait until they are ready, the first time; then check that they still run.

        Raises:
            LimitError: a stop was requested.
            StepError: they ended with an error, or were not ready in time.
        """
        with self._lock:  # steps that start at the same time wait for the same services
            if self._thread.ident is None:
                self._thread.start()
            if not self._were_ready:
                self._wait_until_ready(stop)
            if self._ended and self._ended.code:
                raise self._error(f"the services ended with exit code {self._ended.code}")
            self._were_ready = True

    def _wait_until_ready(self, stop: Stop) -> None:
        until = time.monotonic() + self._seconds
        while not self._is_ready(until) and not (self._ended and self._ended.code):
            if stop.is_requested():
                raise LimitError("stopped")
            if time.monotonic() > until:
                raise self._error(f"the services were not ready after {self._seconds:g} s")
            time.sleep(_POLL_SECONDS)

    def stop(self) -> None:
        """End all processes of the services: TERM, then KILL."""
        self._stop.request(STOP)
        if self._thread.ident is not None:
            self._thread.join()
        self._stop.close()

    def _run(self) -> None:
        log = OutputLog(self._log, _LOG_BYTES, self._hidden)
        try:
            self._ended = self._execute(self._call, log, self._stop)
        except OSError as error:
            log(f"{error}\n".encode())
            self._ended = ExitStatus(1)
        finally:
            log.close()

    def _is_ready(self, until: float) -> bool:
        """Return whether the services can be used: at once if the project has no command that says so."""
        if not self._ready:
            return True
        argv = process.bash_argv(self._ready, self._call.env.get("PATH"))
        # What a process leaves behind is killed by its tag, which must not be that of the services.
        tag = f"{self._call.tag}/ready"
        seconds = max(_POLL_SECONDS, min(_PROBE_SECONDS, until - time.monotonic()))
        probe = self._call._replace(argv=argv, timeout=seconds, tag=tag)
        return process.capture_output(probe, 1 << 16, self._stop).code == 0

    def _error(self, problem: str) -> StepError:
        text = self._log.read_text("utf-8", "replace") if self._log.is_file() else ""
        shown = "\n".join(safe_line(line, 200) for line in text.splitlines()[-_SHOWN_LINES:])
        return StepError(f"{problem}\n{shown}".strip(), f"see {self._log}, and {_FIX}")


@contextmanager
def running_services(
    settings: Settings, place: Place, call: ProcessSpec, stop: Stop, hidden: Sequence[str] = ()
) -> Iterator[ProcessSpec]:
    """Run the services of the settings on the code of a place; yield `call` with their ports.

    Without services it is yielded as it is. `call` has the variables and the tag of a process of the place.

    Raises:
        GateError: the services could not be started.
        LimitError: a stop was requested.
    """
    if not settings.services:
        yield call
        return
    ports = port_variables(allocate_ports(settings.home, place.root))
    call = call._replace(env={**call.env, **ports}, ports=tuple(map(int, ports.values())))
    log = place.scratch / "services.log"
    own = call._replace(cwd=place.root, tag=f"{call.tag}/services")
    services = Services(settings, own, log, hidden, run=_with_layers_of_its_own(place).run)
    try:
        try:
            services.ensure_running(stop)
        except StepError as error:
            raise GateError(f"on the code that is judged, {error.message}", f"see {_FIX}") from error
        yield call
    finally:
        services.stop()


def _with_layers_of_its_own(place: Place) -> Place:
    """Return a place for a process beside another: each needs layers that nobody else deletes."""
    if place.sandbox:
        place = place._replace(sandbox=place.sandbox.without_network_filter())
    if place.overlay is None:
        return place
    return place._replace(overlay=place.overlay._replace(scratch=place.scratch / "services-layers"))
