"""Starts our processes from one that has their modules loaded, which takes a tenth of the time; they are real ones.

`subprocess.Popen` and all that uses it (asyncio's subprocesses too) then ask a starter for each `python -m ws_server`
and the like. The starter makes a copy of itself that is a child of the test process, with the same environment, folder,
descriptors and process group that `exec` would have given it, and runs the module as `python -m` does.
"""

import array
import ctypes
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

LOADED = {
    "lean": ("ws_server.server", "gateway.server", "sandbox.server", "mini_apps.cli", "mini_apps.cli.dev"),
    "with aiogram": ("bot_worker.worker",),
}
STARTERS = dict.fromkeys(("ws_server", "gateway", "sandbox", "mini_apps"), "lean") | {"bot_worker": "with aiogram"}
ROOT = Path(__file__).parents[1]
CLONE, CLONE_PARENT = 56, 0x00008000  # of Linux on x86-64: a fork whose child is a child of our parent
LENGTH = 4

_asking = threading.Lock()
_starters: dict[str, socket.socket] = {}
plain = subprocess.Popen


def install() -> None:
    """Have `subprocess.Popen` ask the starters, on the only kind of machine where they were tried."""
    if sys.platform == "linux" and os.uname().machine == "x86_64":
        subprocess.Popen = Forked  # type: ignore[misc,assignment]  # it is one, and does the same


class Forked(plain):  # type: ignore[type-arg]
    """A process that a starter makes, where it is one of ours; else one as ever."""

    def _execute_child(self, args: Any, *rest: Any) -> None:
        module = _module_of(args)
        names = ("executable", "preexec_fn", "close_fds", "pass_fds", "cwd", "env", "startupinfo", "creationflags")
        names += ("shell", "p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite", "restore_signals")
        names += ("gid", "gids", "uid", "umask", "start_new_session", "process_group")
        how = dict(zip(names, rest, strict=True))
        plain = not (how["preexec_fn"] or how["pass_fds"] or how["shell"] or how["executable"])
        if module is None or not plain:
            super()._execute_child(args, *rest)  # type: ignore[misc]  # private, and what there is to override
            return
        request = {
            "argv": [str(arg) for arg in args],
            "env": {os.fsdecode(key): os.fsdecode(value) for key, value in (how["env"] or os.environ).items()},
            "cwd": os.fsdecode(how["cwd"] or Path.cwd()),
            "session": how["start_new_session"],
            "group": how["process_group"],
        }
        given = (how["p2cread"], how["c2pwrite"], how["errwrite"])
        streams = [stream if stream >= 0 else number for number, stream in enumerate(given)]
        self.pid = _ask(_starter(STARTERS[module]), request, streams)
        self._child_created = True
        self._close_pipe_fds(*rest[9:15])  # type: ignore[attr-defined]  # private, as above


def _module_of(args: Any) -> str | None:
    """Return which of ours `python [-P] -m MODULE …` runs."""
    if isinstance(args, str | bytes | os.PathLike):
        return None
    words = [str(word) for word in args]
    if words[0] != sys.executable:
        return None
    rest = words[2:] if words[1:2] == ["-P"] else words[1:]
    return rest[1] if rest[:1] == ["-m"] and rest[1] in STARTERS else None


def _starter(kind: str) -> socket.socket:
    with _asking:
        if kind in _starters:
            return _starters[kind]
        ours, theirs = socket.socketpair()
        command = [sys.executable, str(Path(__file__)), kind, str(theirs.fileno())]
        env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        plain(command, pass_fds=[theirs.fileno()], cwd=ROOT, env=env, stdin=subprocess.DEVNULL)
        theirs.close()
        _starters[kind] = ours
        return ours


def _ask(starter: socket.socket, request: Mapping[str, Any], streams: Sequence[int]) -> int:
    body = json.dumps(request).encode()
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", streams))]
    with _asking:
        starter.sendmsg([len(body).to_bytes(LENGTH, "big")], rights)
        starter.sendall(body)
        answer = starter.recv(LENGTH)
    if not answer:
        raise RuntimeError("the starter of the tests' processes is gone")
    return int.from_bytes(answer, "big")


def _serve(kind: str, asked: socket.socket) -> None:
    del sys.path[0]  # the folder of this file, which a script finds its modules in
    installed = sys.path.copy()
    sys.path.insert(0, str(ROOT))
    for name in LOADED[kind]:
        import_module(name)
    while True:
        head, rights, _, _ = asked.recvmsg(LENGTH, socket.CMSG_SPACE(3 * array.array("i").itemsize))
        if not head:
            return
        streams = array.array("i")
        streams.frombytes(rights[0][2])
        size, body = int.from_bytes(head, "big"), b""
        while len(body) < size:
            body += asked.recv(size - len(body))
        pid = _fork()
        if pid == 0:
            asked.close()
            _become(json.loads(body), streams, installed)
        for stream in streams:
            os.close(stream)
        asked.sendall(pid.to_bytes(LENGTH, "big"))


def _fork() -> int:
    python, libc = ctypes.pythonapi, ctypes.PyDLL(None)
    python.PyOS_BeforeFork()
    pid = int(libc.syscall(CLONE, CLONE_PARENT | signal.SIGCHLD, 0, 0, 0, 0))
    if pid == 0:
        python.PyOS_AfterFork_Child()
    else:
        python.PyOS_AfterFork_Parent()
    return pid


def _become(request: Mapping[str, Any], streams: Sequence[int], installed: Sequence[str]) -> None:
    """Be what `exec` would have made, and never return."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.closerange(3, max(streams) + 1)
    if request["session"]:
        os.setsid()
    elif request["group"] >= 0:
        os.setpgid(0, request["group"])
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    sys.stdin, sys.stdout, sys.stderr = (
        os.fdopen(n, mode, closefd=False) for n, mode in ((0, "r"), (1, "w"), (2, "w"))
    )
    words = request["argv"][1:]
    here = [] if words[0] == "-P" else [request["cwd"]]
    module, *arguments = words[words.index("-m") + 1 :]
    more = [folder for folder in request["env"].get("PYTHONPATH", "").split(os.pathsep) if folder]
    sys.path[:] = [*here, *more, *installed]
    sys.argv[:] = [module, *arguments]
    code: Any = 0
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code
        if isinstance(code, str):
            sys.stderr.write(f"{code}\n")
            code = 1
    except BaseException:  # noqa: BLE001 - as the interpreter does
        sys.excepthook(*sys.exc_info())
        code = 1
    with suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code or 0)


if __name__ == "__main__":
    _serve(sys.argv[1], socket.socket(fileno=int(sys.argv[2])))
