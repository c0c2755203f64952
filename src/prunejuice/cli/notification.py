"""The user's own command that tells them of a run that waits, failed or ended: the setting `notify`."""

from contextlib import suppress

from prunejuice.app import wiring
from prunejuice.engine import event as events
from prunejuice.engine.run import Run
from prunejuice.engine.view import format_arguments
from prunejuice.errors import PruneJuiceError
from prunejuice.system import process
from prunejuice.system.private import make_private_folder


def notify_user(app: wiring.App, run: Run, event: events.Event) -> None:
    """Start the command of the setting `notify` if the event needs to be known; do not wait for it.

    The command gets the run as environment variables, never as text of its own.
    """
    status = _status_to_tell(run, event)
    if not (app.settings.notify and status):
        return
    about = {
        "RUN_ID": run.id,
        "STATUS": status,
        "COMMAND": run.plan.command.name,
        "ARGUMENTS": format_arguments(run),
        "PROJECT": run.plan.project,
        "ERROR": event.message if isinstance(event, events.AttentionRequested) else run.error,
    }
    variables = {f"PRUNEJUICE_{name}": value.replace("\0", "") for name, value in about.items()}
    log = app.settings.home / "log" / "notify.log"
    with suppress(OSError, PruneJuiceError):  # a run must not fail because nobody could be told
        make_private_folder(log.parent)
        process.start_detached(
            process.ProcessSpec(
                process.bash_argv(app.settings.notify, app.environ.get("PATH")),
                str(app.settings.home),
                {**app.environ, **variables},
            ),
            log,
        )


def _status_to_tell(run: Run, event: events.Event) -> str:
    """Return the status that a person wants to hear of, or nothing."""
    match event:
        case events.RunEnded() | events.RunInterrupted():
            return run.status
        case events.RunWaiting() | events.AttentionRequested():
            return "waiting"
        case _:
            return ""
