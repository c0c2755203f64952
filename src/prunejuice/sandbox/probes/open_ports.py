"""Listen on ports inside a sandbox, hand the sockets out to the process that made it, and run a program.

The sandbox has a network of its own, which this program alone can reach. Outside, the sockets accept
connections as if they were there. Arguments: an inherited socket, ports (`80,5432`), a program.
"""

# Each contained process waits for this: the module `socket` would double the time that it takes to start.
import _socket
import os
import struct
import sys


def main() -> None:
    """Open the ports, send them, and become the program."""
    channel = _socket.socket(fileno=int(sys.argv[1]))
    listeners = [_listen(int(port)) for port in sys.argv[2].split(",")]
    descriptors = struct.pack(f"{len(listeners)}i", *(listener.fileno() for listener in listeners))
    channel.sendmsg([b"."], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, descriptors)])
    channel.close()
    for listener in listeners:
        listener.close()
    os.execvp(sys.argv[3], sys.argv[3:])  # noqa: S606 - the program to run


def _listen(port: int) -> _socket.socket:
    listener = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
    listener.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(128)
    return listener


if __name__ == "__main__":
    main()
