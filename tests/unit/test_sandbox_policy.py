"""Host rules, what is allowed, policies, and the arguments of every sandbox program: by value."""

import json
from pathlib import Path

import pytest

from prunejuice.errors import DefinitionError, UsageError
from prunejuice.sandbox.hosts import is_forbidden_address, normalize_host, parse_host_rule
from prunejuice.sandbox.limits import parse_limits
from prunejuice.sandbox.permissions import (
    Containment,
    Permissions,
    read_permissions,
    read_settings,
    stronger_mode,
)
from prunejuice.sandbox.policy import Bind, Policy, ResourceLimits
from prunejuice.sandbox.programs.bwrap import Bubblewrap, limited_argv
from prunejuice.sandbox.programs.container import Container
from prunejuice.sandbox.programs.protocol import Workplace
from prunejuice.sandbox.programs.registry import default_name
from prunejuice.sandbox.programs.seatbelt import Seatbelt, profile_text
from prunejuice.sandbox.programs.srt import SandboxRuntime, settings_of
from prunejuice.sandbox.terminals import can_be_typed_into
from prunejuice.system import settings
from prunejuice.system.settings import Settings
from prunejuice.workflow.schema import load_draft

RULES = [
    ("example.org", "example.org", 443, True),
    ("example.org", "example.org", 80, True),
    ("example.org", "example.org", 8443, False),
    ("example.org:8443", "example.org", 8443, True),
    ("example.org:8443", "example.org", 443, False),
    ("example.org", "a.example.org", 443, False),
    ("example.org", "notexample.org", 443, False),
    ("*.example.net", "a.example.net", 443, True),
    ("*.example.net", "a.b.example.net", 443, True),
    ("*.example.net", "example.net", 443, False),
    ("*.example.net", "evilexample.net", 443, False),
    ("*.example.net:9000", "a.example.net", 9000, True),
    ("Example.ORG.", "example.org", 443, True),
    ("bücher.example", "xn--bcher-kva.example", 443, True),
    ("xn--bcher-kva.example", "bücher.example", 443, True),
    ("127.0.0.1:8123", "127.0.0.1", 8123, True),
    ("127.0.0.1:8123", "127.0.0.1", 8124, False),
    ("[::1]:8123", "::1", 8123, True),
    ("[::1]:8123", "0:0:0:0:0:0:0:1", 8123, True),
]


@pytest.mark.parametrize(("rule", "host", "port", "allowed"), RULES)
def test_a_rule_allows_hosts_and_ports(rule, host, port, allowed):
    assert parse_host_rule(rule).allows(normalize_host(host), port) == allowed


@pytest.mark.parametrize(
    "text",
    [
        "*", "*.com", "*.127.0.0.1", "https://example.org", "example.org/x", "example.org:0", "example.org:x",
        "example.org:65536", "a b", "", "::1", "[::1", "[::1]x", "user@example.org", "0x7f.1", "2130706433",
        "0177.0.0.1", "127.1", "-a.example", "a..b", "a" * 64 + ".example", "exa\nmple.org", "exa\0mple.org",
        "*.*.example.org", "a.*.example.org",
    ],
)  # fmt: skip
def test_what_is_no_rule_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        parse_host_rule(text)


@pytest.mark.parametrize(
    ("address", "forbidden"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("169.254.169.254", True),
        ("fe80::1%eth0", True),
        ("0.0.0.0", True),
        ("::", True),
        ("224.0.0.1", True),
        ("10.0.0.1", False),
        ("93.184.216.34", False),
        ("2606:2800:220:1::1", False),
    ],
)
def test_an_allowed_name_does_not_lead_to_this_machine(address, forbidden):
    assert is_forbidden_address(address) == forbidden


# -- what is allowed ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "kind", "said"),
    [
        ([], "", "must be a mapping"),
        ({"host": ["example.org"]}, "host", "is not a kind"),
        ({"hosts": ["*"]}, "hosts", "every host"),
        ({"hosts": ["example.org:x"]}, "hosts", "is not a number"),
        ({"services": ["postgres"]}, "services", "is not a number"),
        ({"services": ["postgres:99999"]}, "services", "is not a number"),
        ({"write": [""]}, "write", "is not a path"),
        ({"read": ["a\0b"]}, "read", "is not a path"),
    ],
)
def test_a_mistake_in_what_is_allowed_is_named(value, kind, said):
    permissions, mistakes = read_permissions(value)
    assert permissions == Permissions()
    assert [(mistake.kind, said in mistake.message) for mistake in mistakes] == [(kind, True)]


def test_one_value_counts_as_a_list():
    permissions, mistakes = read_permissions({"hosts": "example.org", "services": 5432})
    assert not mistakes
    assert permissions.hosts == ("example.org",)
    assert permissions.ports() == (5432,)


MODES = ["", "off", "files", "files+net"]


@pytest.mark.parametrize("first", MODES)
@pytest.mark.parametrize("second", MODES)
def test_the_stronger_mode_counts_unless_a_flag_chose_one(first, second):
    stronger = MODES[max(MODES.index(first), MODES.index(second))]
    assert stronger_mode(first, second) == stronger
    assert Containment(first).combine(Containment(second)).mode == stronger
    final = Containment(first, is_final=True).combine(
        Containment(second, Permissions(hosts=("a.example",)))
    )
    assert (final.mode, final.allow.hosts) == (first, ("a.example",))


def test_settings_become_a_containment():
    made = read_settings(
        Settings(Path("/home"), sandbox="files", allow={"read": ("~/x",)}, limits={"memory": ("2GiB",)})
    )
    assert made == Containment("files", Permissions(read=("~/x",)), limits=ResourceLimits(2 << 30))
    assert read_settings(
        Settings(Path("/home"), sandbox="off", sources={"sandbox": "environment"})
    ).is_final
    with pytest.raises(UsageError, match="every host"):
        read_settings(Settings(Path("/home"), allow={"hosts": ("*",)}))


@pytest.mark.parametrize(
    ("own", "project", "mode"),
    [
        ("", "files", "files"),
        ("", "off", ""),
        ("files", "off", "files"),
        ("files+net", "files", "files+net"),
        ("files", "files+net", "files+net"),
        ("off", "files", "files"),
    ],
)
def test_a_project_can_only_contain_more(tmp_path, own, project, mode):
    (tmp_path / "config.yaml").write_text(f"sandbox: {own}\n" if own else "")
    loaded = settings.load(
        {"PRUNEJUICE_CONFIG": str(tmp_path)}, tmp_path / "p.yaml", f"sandbox: {project}\n".encode()
    )
    assert loaded.sandbox == mode


def test_a_project_adds_to_what_its_user_allows(tmp_path):
    (tmp_path / "config.yaml").write_text("allow: {hosts: [a.example], read: ~/x}\n")
    environ = {"PRUNEJUICE_CONFIG": str(tmp_path)}
    loaded = settings.load(environ, tmp_path / "p.yaml", b"allow: {hosts: [b.example]}\n")
    assert loaded.allow == {"hosts": ("a.example", "b.example"), "read": ("~/x",)}
    with pytest.raises(UsageError, match="cannot set sandbox_program"):
        settings.load(environ, tmp_path / "p.yaml", b"sandbox_program: mine\n")


@pytest.mark.parametrize("text", ["filse", "files + net", "on", "3"])
def test_an_unknown_mode_is_an_error_that_lists_them(tmp_path, text):
    with pytest.raises(UsageError, match=r"must be one of off, files, files\+net"):
        settings.load({"PRUNEJUICE_SANDBOX": text, "PRUNEJUICE_CONFIG": str(tmp_path)})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sandbox: filse", "sandbox: must be one of off, files, files+net"),
        ("allow: {hosts: ['*']}", "allow.hosts: '*': `*` is every host"),
        ("allow: {hots: [a.example]}", "allow.hots: is not a kind of permission"),
        ("allow: [a]", "allow: must be a mapping"),
    ],
)
def test_mistakes_in_a_command_name_their_line(tmp_path, text, said):
    path = tmp_path / "t.yaml"
    path.write_text(f"steps:\n  - name: a\n    script: x\n    {text}\n")
    with pytest.raises(DefinitionError) as error:
        load_draft(path)
    assert f"t.yaml:4: steps.0.{said}" in str(error.value)


def test_off_is_a_mode_although_yaml_reads_it_as_a_boolean(tmp_path):
    path = tmp_path / "t.yaml"
    path.write_text("sandbox: off\nsteps:\n  - {name: a, script: x, sandbox: off}\n")
    draft = load_draft(path)
    assert draft.values["sandbox"] == "off"
    assert draft.values["steps"][0].sandbox == "off"


# -- limits -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "size"), [("2GiB", 2 << 30), ("1.5g", 1_500_000_000), ("512 MiB", 512 << 20), ("100", 100), ("1kB", 1000)]
)  # fmt: skip
def test_sizes_have_units(text, size):
    assert parse_limits({"memory": (text,)}).memory == size


@pytest.mark.parametrize(
    "values", [{"memory": ("x",)}, {"memory": ("0",)}, {"cpu": ("-1",)}, {"cpu": ("1.5",)}, {"ram": ("1",)}, {"cpu": ("1", "2")}]
)  # fmt: skip
def test_what_is_no_limit_is_refused(values):
    with pytest.raises(UsageError, match="limit"):
        parse_limits(values)


def test_limits_of_each_process_are_set_before_the_program():
    assert limited_argv(["x"], ResourceLimits(1, 2, 3, 4)) == [
        "prlimit", "--cpu=3", "--fsize=4", "--nproc=2", "--", "x"
    ]  # fmt: skip
    assert limited_argv(["x"], ResourceLimits(memory=1)) == ["x"]


# -- policies -----------------------------------------------------------------------------------------

POLICY = Policy(
    write=("/home/u/work/tree",),
    read=("/home/u/.pyenv", "/home/u/work/tree/.git"),
    hidden=("/home/u/.pyenv/secret", "/run"),
    private=("/home/u", "/tmp"),
    binds=(Bind("/state/objects", "/home/u/work/repo/.git/objects"),),
)


@pytest.mark.parametrize(
    ("path", "visible", "writable"),
    [
        ("/usr/bin/git", True, False),
        ("/home/u", False, False),
        ("/home/u/.ssh/id", False, False),
        ("/home/user2", True, False),
        ("/home/u/.pyenv/bin/python", True, False),
        ("/home/u/.pyenv/secret", False, False),
        ("/home/u/work/tree/a.py", True, True),
        ("/home/u/work/tree/.git", True, False),
        ("/home/u/work/tree/.github", True, True),
        ("/home/u/work/treehouse", False, False),
        ("/tmp/x", False, False),
    ],
)
def test_the_innermost_path_counts(path, visible, writable):
    assert (POLICY.is_visible(path), POLICY.is_writable(path)) == (visible, writable)


def test_outer_mounts_come_before_inner_ones():
    targets = [mount.target for mount in POLICY.list_mounts()]
    for target in targets:
        inner = [other for other in targets if other.startswith(f"{target}/")]
        assert all(targets.index(target) < targets.index(other) for other in inner)
    same = Policy(write=("/a",), read=("/a",), hidden=("/a",)).list_mounts()
    assert [mount.kind for mount in same] == ["hidden", "read", "write"]


def joined(argv):
    return " ".join(argv)


PLACE = Workplace("/home/u/work/tree", {"HOME": "/home/u", "PATH": "/bin"}, Path("/folder"))
FINISHED = POLICY._replace(private=(), binds=(*POLICY.binds, Bind("/folder/0", "/home/u")))


def test_bubblewrap_gets_the_mounts_of_a_policy():
    argv = joined(Bubblewrap([]).wrap(["bash", "-c", "x"], FINISHED, PLACE))
    for part in (
        "--unshare-pid",
        "--cap-drop ALL",
        "--bind-try /folder/0 /home/u --ro-bind-try /home/u/.pyenv /home/u/.pyenv",
        "--bind-try /home/u/work/tree /home/u/work/tree --ro-bind-try /home/u/work/tree/.git ",
        "--bind-try /state/objects /home/u/work/repo/.git/objects",
        "--chdir /home/u/work/tree -- bash -c x",
    ):
        assert part in argv, argv
    assert "--unshare-net" not in argv
    assert "--unshare-net" in Bubblewrap([]).wrap(["x"], FINISHED._replace(hosts=()), PLACE)


def test_bubblewrap_says_why_it_does_not_work(tmp_path):
    assert Bubblewrap([]).find_problem({})[0] == "bubblewrap is not installed"
    refusing = tmp_path / "bwrap"
    refusing.write_text("#!/bin/sh\necho 'setting up uid map: Permission denied' >&2; exit 1\n")
    refusing.chmod(0o755)
    problem, fix = Bubblewrap([str(refusing), str(tmp_path / "missing")]).find_problem({})
    assert "does not work here: setting up uid map: Permission denied" in problem
    assert "SECURITY.md" in fix


def test_the_profile_of_macos_closes_and_opens_paths_in_order():
    text = profile_text(FINISHED._replace(hosts=(), ports=(5432,)), 4000)
    closed = text.index('(deny file-read* file-write* (subpath "/home/u"))')
    opened = text.index('(allow file-write* (subpath "/home/u/work/tree"))')
    protected = text.index('(deny file-write* (subpath "/home/u/work/tree/.git"))')
    assert closed < text.index('(allow file-read* (subpath "/home/u/.pyenv"))') < opened < protected
    assert '(allow file-write* (subpath "/folder/0"))' in text
    assert '(allow network-outbound (remote ip "localhost:4000"))' in text
    assert '(allow network-outbound (remote ip "localhost:5432"))' in text
    assert "(allow network*)" not in text
    assert "(allow network*)" in profile_text(FINISHED)
    assert '(subpath "/a\\"b")' in profile_text(Policy(read=('/a"b',)))


def test_seatbelt_starts_in_the_directory_with_a_private_home():
    argv = Seatbelt("darwin").wrap(["x", "y"], FINISHED, PLACE)
    assert argv[:4] == ["/bin/sh", "-c", 'cd "$0" && exec "$@"', "/home/u/work/tree"]
    assert argv[4:6] == ["/usr/bin/env", "HOME=/folder/0"]
    assert argv[-2:] == ["x", "y"]
    assert Seatbelt("linux").find_problem({})[0] == "sandbox-exec is for macOS"
    assert (default_name("darwin"), default_name("linux")) == ("seatbelt", "bwrap")


def test_srt_gets_its_settings_in_a_file(tmp_path):
    policy = FINISHED._replace(hosts=(parse_host_rule("*.example.org:8443"),), ports=(5432,))
    argv = SandboxRuntime().wrap(["x"], policy, PLACE._replace(folder=tmp_path))
    path = argv[argv.index("--settings") + 1]
    made = json.loads(Path(path).read_text())
    assert made == json.loads(json.dumps(settings_of(policy)))
    assert made["network"]["allowedDomains"] == ["*.example.org:8443", "127.0.0.1:5432"]
    assert "/home/u" in made["filesystem"]["denyRead"]
    assert set(made["filesystem"]["allowWrite"]) >= {"/home/u/work/tree", "/folder/0"}
    assert made["filesystem"]["denyWrite"] == ["/home/u/work/tree/.git"]
    with pytest.raises(UsageError, match="always limits the network"):
        SandboxRuntime().wrap(["x"], FINISHED, PLACE)


def test_a_container_gets_only_what_a_policy_names():
    limits = ResourceLimits(1 << 30, 100, 60, 1 << 20)
    argv = joined(Container("podman", "img").wrap(["x"], FINISHED._replace(hosts=(), limits=limits), PLACE))
    for part in (
        "podman run --rm --interactive",
        "--network=none",
        "--memory=1073741824 --pids-limit=100 --ulimit=cpu=60 --ulimit=fsize=1048576",
        "type=bind,source=/home/u/work/tree,target=/home/u/work/tree ",
        "type=bind,source=/home/u/.pyenv,target=/home/u/.pyenv,readonly",
        "--workdir /home/u/work/tree --env HOME --env PATH img x",
    ):
        assert part in argv, argv
    with pytest.raises(UsageError, match=r"reaches no chosen hosts: example\.org"):
        Container("podman", "img").wrap(
            ["x"], FINISHED._replace(hosts=(parse_host_rule("example.org"),)), PLACE
        )
    assert Container().find_problem({"PATH": "", "HOME": "/nowhere"})[0] == "no image is set"
    assert "neither" in Container(image="img").find_problem({"PATH": ""})[0]


@pytest.mark.parametrize(("text", "typed"), [("0\n", False), ("1\n", True), (None, True)])
def test_a_terminal_is_safe_only_if_the_system_forbids_typing(tmp_path, monkeypatch, text, typed):
    monkeypatch.setattr("sys.platform", "linux")
    switch = tmp_path / "switch"
    if text is not None:
        switch.write_text(text)
    assert can_be_typed_into(switch) == typed
    monkeypatch.setattr("sys.platform", "darwin")
    assert not can_be_typed_into(switch)
