"""`prj mcp`: commands, runs and contexts for other programs' agents."""

import click


@click.command("mcp")
@click.option("--http", is_flag=True, help="On loopback behind a token, instead of stdin and stdout.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Of --http  [one that is free].")
def mcp_command(*, http: bool, port: int) -> None:
    """Serve this project over the Model Context Protocol, to Claude Code, Codex or any other client.

    claude mcp add prj -- prj mcp; codex mcp add prj -- prj mcp. Tools: listCommands, executeCommand,
    getContext, listRuns, getRun, cancelRun; runs, logs and artifacts are resources below prj://runs.
    """
    from prunejuice import project  # noqa: PLC0415
    from prunejuice.cli import render  # noqa: PLC0415
    from prunejuice.errors import UsageError  # noqa: PLC0415
    from prunejuice.mcp import server  # noqa: PLC0415 - slow

    if port and not http:
        raise UsageError("--port is that of --http", "say --http too")
    directory = project.here()

    def tell(url: str, token: str) -> None:
        render.say(f"{url}  Authorization: Bearer {token}")

    if http:
        server.over_http(directory, port, tell)
    else:
        server.over_stdio(directory)
