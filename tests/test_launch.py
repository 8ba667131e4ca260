"""`kplug launch`: what is wrong is said first; workers of a made-up cluster end together, as the first that failed."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from kplug.default_plugins.launch import local_cluster
from kplug.default_plugins.launch.local_cluster import LocalCluster

# takes the place of kplug in the workers: what each does depends on its number
WORKER = """
import json, os, signal, sys, time
task = json.loads(os.environ["TF_CONFIG"])
me = task["task"]["index"]
others = len(task["cluster"]["worker"])
attempt = os.path.exists("began")
print(f"worker {{me}} of {{others}} was told {{sys.argv[1:]}}", flush=True)
{does}
"""


@pytest.fixture
def workers(tmp_path, monkeypatch):
    """Start workers that do what a text says, and return the exit code."""
    monkeypatch.chdir(tmp_path)  # `python -m` looks here first
    monkeypatch.setenv("PYTHONPATH", "")
    monkeypatch.setattr(local_cluster, "GRACE", 2)

    def launch(does, count=2, restarts=1, words=("train", "x.yaml")):
        (tmp_path / "kplug.py").write_text(WORKER.format(does=textwrap.dedent(does)))
        return LocalCluster(count, list(words), tmp_path / "runs" / "two").train(restarts)

    return launch


def log_of(folder, index):
    return (folder / "runs" / f"two.worker-{index}.log").read_text()


def test_all_are_told_the_same_and_the_first_is_heard(workers, tmp_path, capfd):
    assert workers("", count=3) == 0
    assert capfd.readouterr().out == "worker 0 of 3 was told ['train', 'x.yaml']\n"
    for index in (1, 2):
        assert log_of(tmp_path, index) == f"worker {index} of 3 was told ['train', 'x.yaml']\n"


def test_when_one_fails_the_others_end_and_its_exit_code_counts(workers, tmp_path, capfd):
    began = time.monotonic()
    assert workers("if me: sys.exit(3)\ntime.sleep(60)") == 3
    assert time.monotonic() - began < 30
    said = capfd.readouterr().err
    assert f"worker 1 ended with exit code 3; {tmp_path / 'runs' / 'two.worker-1.log'} has its words" in said


def test_one_that_breaks_is_not_lost_though_another_says_so(workers):
    assert workers("time.sleep(0.5 * (1 - me))\nsys.exit(75 if me else 1)") == 1


@pytest.mark.parametrize(("restarts", "code", "attempts"), [(1, 0, 1), (0, 75, 1)])
def test_when_one_is_lost_all_start_again(workers, capfd, restarts, code, attempts):
    does = """
    if me == 0 and not attempt:
        open("began", "w").close()
        time.sleep(1)
        os.kill(os.getpid(), signal.SIGKILL)
    if me == 1:
        time.sleep(0.5)
        if os.path.exists("began") and not os.path.exists("noticed"):
            time.sleep(1)
            open("noticed", "w").close()
            sys.exit(75)
    """
    assert workers(does, restarts=restarts) == code
    assert capfd.readouterr().err.count("a worker was lost (exit codes [-9, 75])") == attempts


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)])
def test_a_signal_reaches_all(workers, tmp_path, monkeypatch, number, code):
    monkeypatch.setattr(local_cluster, "GRACE", 60)
    does = """
    signal.signal(signal.SIGINT, lambda *_: sys.exit(130))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(143))
    open(f"waits-{me}", "w").close()
    time.sleep(60)
    """

    def send():
        while len(list(tmp_path.glob("waits-*"))) < 2:
            time.sleep(0.05)
        os.kill(os.getpid(), number)

    began = time.monotonic()
    threading.Thread(target=send).start()
    assert workers(does) == code
    assert time.monotonic() - began < 30


def test_the_second_signal_kills(workers, tmp_path):
    does = """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: open(f"heard-{me}", "w").close())
    open(f"waits-{me}", "w").close()
    time.sleep(60)
    time.sleep(60)
    """

    def send():
        for files in ("waits-*", "heard-*"):
            while len(list(tmp_path.glob(files))) < 2:
                time.sleep(0.05)
            os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=send).start()
    assert workers(does) == 143


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["0", "specs/digits.yaml"], "0 is not in the range x>=1"),
        (["2", "no.yaml"], "no.yaml: no such file"),
        (["2", "spec.yaml", "--set", "fit.epoch=3"], "fit.epoch: unknown key; did you mean 'epochs'?"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_started(tmp_path, words, told):
    text = "name: x\ntask: {type: classification, model: flatten}\ndata: {source: digits}\n"
    (tmp_path / "spec.yaml").write_text(text)
    command = [sys.executable, "-m", "kplug", "launch", *words]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    assert told in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["spec.yaml"]


ALONE = """
import socket, sys
from kplug.default_plugins.launch.private_network import leave_the_network
left = leave_the_network()
with socket.socket() as server:
    server.bind(("0.0.0.0", 0))  # as TensorFlow does
    server.listen()
    port = server.getsockname()[1]
    socket.create_connection(("127.0.0.1", port), timeout=5).close()
    print(left, port, flush=True)
    sys.stdin.read()
"""


def may_have_a_network():
    """True where the system's own tool can make a network; where there is no such tool nobody can tell."""
    tool = shutil.which("unshare")
    ways = (["--net"], ["--user", "--map-current-user", "--net"]) if tool else ()
    return any(subprocess.run([tool, *way, "true"], capture_output=True, check=False).returncode == 0 for way in ways)


def test_workers_reach_each_other_and_nobody_else_reaches_them():
    command = [sys.executable, "-c", ALONE]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        left, port = process.stdout.readline().split()
        if left == "False":
            process.communicate()
            assert not may_have_a_network(), "the system allows it, as unshare(1) says"
            pytest.skip("this system allows no namespaces")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", int(port)), timeout=5)
        process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("shared", [False, True])
def test_a_port_is_open_only_where_that_is_asked_for(tmp_path, shared):
    command = [sys.executable, "-m", "kplug", "launch", "2", "s.yaml", "--run", "run", *["--shared-network"] * shared]
    (tmp_path / "s.yaml").write_text(
        "name: s\ntask: {type: classification, model: flatten}\ndata: {source: digits}\nfit: {epochs: 1}\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert ("listens on port" in done.stderr) == shared or "the system allows no network" in done.stderr
