"""The report at the end of a run."""

from prunejuice.cli import error_boundary, render
from prunejuice.engine import view
from prunejuice.engine.driver import Runtime
from prunejuice.engine.run import Run


def report_run(run: Run, tools: Runtime, *, as_json: bool) -> int:
    """Print the result of a run and return the exit code for it."""
    directory = str(tools.run_directory(run.id))
    try:
        if as_json:
            render.print_json("run", {**view.run_to_dict(run), "artifact_dir": directory})
        else:
            for line in (*render.failure_tail(run), *render.run_summary(run, directory)):
                render.print_line(line)
    except BrokenPipeError:  # the exit code must still be that of the run
        render.discard_stdout()
    return error_boundary.run_exit_code(run.status, run.reason)
