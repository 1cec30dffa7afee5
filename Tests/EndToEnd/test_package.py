"""The Debian package in a real systemd: installed, used, upgraded under load, removed, purged."""

import os
import pathlib
import shutil
import subprocess

import pytest

import harness
import systemd_machine
from harness import eventually
from test_systemd import Load

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """Two versions of the package, of which the second has another program: the same with a section more."""
    folder = tmp_path_factory.mktemp("packages")
    newer = folder / "stoker"
    (folder / "section").write_text("another build")
    subprocess.run(["objcopy", "--add-section", f".stoker.test={folder}/section", harness.BIN, newer], check=True)
    for version, program in (("0.1.0", harness.BIN), ("0.1.1~test", newer)):
        subprocess.run(
            [ROOT / "scripts/deb", program, folder], check=True, capture_output=True, text=True,
            env={**os.environ, "VERSION": version, "COMPRESSION": "none", "SYMBOLS": "no"})
    return sorted(path for path in folder.iterdir() if path.suffix == ".deb")


@pytest.fixture(scope="module")
def machine(packages):
    with systemd_machine.Machine(packaged=True) as machine:
        for package in packages:
            shutil.copyfile(package, machine.path(f"/opt/st/{package.name}"))
        yield machine


@pytest.fixture(scope="module")
def stoker(machine):
    return systemd_machine.Client(machine)


def installed(machine):
    """The version that dpkg has, and its word for the package's state."""
    return machine.run("dpkg-query", "-W", "-f", "${db:Status-Abbrev}${Version}", "stoker", check=False).stdout


def test_installing_starts_the_daemon_and_waits_for_nothing(machine, packages, stoker):
    with systemd_machine.stopwatch() as seconds:
        machine.run("dpkg", "-i", f"/opt/st/{packages[0].name}")
        print(f"installed in {seconds():.1f} s")
    assert installed(machine) == "ii 0.1.0"
    eventually(lambda: machine.show("ActiveState") == "active", 20, "an active unit")
    assert machine.show("UnitFileState") == "enabled"
    assert machine.show("StatusText").startswith("degraded: "), "nothing is configured yet"
    assert machine.run("getent", "passwd", "stoker").stdout.split(":")[6].strip() == "/usr/sbin/nologin"
    assert machine.run("ps", "-o", "user=", "-p", str(machine.main_pid())).stdout.strip() == "stoker"


@pytest.mark.parametrize("page", ["stoker.1", "stoker-logs.1", "stoker-reload.1"])
def test_man_pages_are_read_without_a_complaint(machine, page):
    text = machine.run("man", "--warnings", "-E", "UTF-8", "-l", f"/usr/share/man/man1/{page}.gz", timeout=60)
    assert "SYNOPSIS" in text.stdout and text.stderr == ""


def test_completions_are_shell_code(machine):
    machine.run("bash", "-n", "/usr/share/bash-completion/completions/stoker")
    for path in ("/usr/share/zsh/vendor-completions/_stoker", "/usr/share/fish/vendor_completions.d/stoker.fish"):
        assert "undrain" in machine.path(path).read_text()


def test_needrestart_leaves_it_alone(machine):
    line = [l for l in machine.path("/etc/needrestart/conf.d/stoker.conf").read_text().splitlines() if l.startswith("$")]
    done = machine.run("perl", "-e", f"our %nrconf; {line[0]} my ($r) = keys %{{$nrconf{{override_rc}}}}; "
                       "exit(('stoker.service' =~ /$r/) && !$nrconf{override_rc}{$r} ? 0 : 1)", check=False)
    assert done.returncode == 0, done.stderr


def test_a_configuration_is_served_after_a_reload(machine, stoker):
    machine.configure(machine.provider())
    machine.systemctl("reload", "stoker")
    stoker.ready()
    assert stoker.post("/v1/chat/completions", {"model": "chat/org/m", "messages": []}).status_code == 200


def test_an_upgrade_leaves_engines_and_clients_alone(machine, packages, stoker):
    """The running daemon executes its new program; what an operator has written into the configuration stays."""
    written = machine.path("/etc/stoker/stoker.yaml").read_text()
    before, main = stoker.instance("chat-0"), machine.main_pid()
    with Load(stoker) as load:
        machine.run("dpkg", "-i", f"/opt/st/{packages[1].name}")
        load.more()
    assert installed(machine) == "ii 0.1.1~test"
    assert load.failures == []
    after = stoker.instance("chat-0")
    assert (after["pid"], after["run"], after["state"]) == (before["pid"], before["run"], "ready")
    assert machine.main_pid() == main
    own = machine.run("sha256sum", "/usr/bin/stoker", f"/proc/{main}/exe").stdout.split()
    assert own[0] == own[2], "the running program is the installed one"
    assert machine.path("/etc/stoker/stoker.yaml").read_text() == written


def test_removing_stops_it_and_keeps_what_is_the_operators(machine):
    machine.run("dpkg", "-r", "stoker")
    assert machine.show("ActiveState") == "inactive" and machine.processes() == {}
    assert machine.path("/etc/stoker/stoker.yaml").exists() and machine.path("/var/lib/stoker").exists()
    assert not machine.path("/usr/bin/stoker").exists()


def test_purging_leaves_nothing(machine):
    machine.run("dpkg", "-P", "stoker")
    for path in ("/etc/stoker", "/var/lib/stoker", "/etc/needrestart/conf.d/stoker.conf"):
        assert not machine.path(path).exists(), path
    assert installed(machine) in ("", "un ")
