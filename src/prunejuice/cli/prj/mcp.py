"""Serve this project over the Model Context Protocol (MCP).

Add it to a client with `claude mcp add prj -- prj mcp` or `codex mcp add prj -- prj mcp`.

Tools: listCommands, executeCommand, getContext, listRuns, getRun, cancelRun. Runs, logs and artifacts
are resources below prj://runs.
"""

import click


@click.command("mcp")
@click.option(
    "--http",
    is_flag=True,
    help="Serve HTTP on loopback, protected by a token, instead of stdin and stdout.",
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="Port for --http  [default: a free port]."
)
def mcp_command(*, http: bool, port: int) -> None:
    from prunejuice.cli import render  # noqa: PLC0415
    from prunejuice.errors import UsageError  # noqa: PLC0415
    from prunejuice.mcp import server  # noqa: PLC0415 - slow
    from prunejuice.workflow import project  # noqa: PLC0415

    if port and not http:
        raise UsageError("--port requires --http", "add --http")
    directory = project.current_directory()

    def show_address(url: str, token: str) -> None:
        render.print_message(f"{url}  Authorization: Bearer {token}")

    if http:
        server.serve_http(directory, port, show_address)
    else:
        server.serve_stdio(directory)
