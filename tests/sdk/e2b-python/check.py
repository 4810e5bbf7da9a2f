"""What the official Python SDK does with the E2B stand-in, and what it must see.

Run by run.sh. Ends with the first thing that is not as with E2B.
"""

import json
import os
import time
import urllib.request

from e2b import (
    AuthenticationException,
    CommandExitException,
    FileNotFoundException,
    FileType,
    NotFoundException,
    Sandbox,
    SandboxException,
    SandboxQuery,
    SandboxState,
    TimeoutException,
)


def raises(kind, act):
    """Runs `act`, which must raise `kind`, and returns what it raised."""
    try:
        result = act()
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was not raised, but {result!r} returned")


def equal(got, wanted):
    assert got == wanted, f"{got!r} instead of {wanted!r}"


def control(path, body):
    """A call to the simulator's control side."""
    url = f"{os.environ['CONTROL_URL']}{path}"
    request = urllib.request.Request(url, json.dumps(body).encode(), method="POST")
    return json.load(urllib.request.urlopen(request))


def commands(sandbox):
    result = sandbox.commands.run("echo out; echo err >&2; pwd; echo $A $B", envs={"B": "2"}, cwd="/tmp")
    equal((result.stdout, result.stderr, result.exit_code), ("out\n/tmp\n1 2\n", "err\n", 0))
    error = raises(CommandExitException, lambda: sandbox.commands.run("echo gone; exit 3"))
    equal((error.exit_code, error.stdout), (3, "gone\n"))
    error = raises(CommandExitException, lambda: sandbox.commands.run("kill -9 $$"))
    equal(error.error, "signal: killed")
    error = raises(CommandExitException, lambda: sandbox.commands.run("nosuchcommand"))
    equal(error.exit_code, 127)
    raises(TimeoutException, lambda: sandbox.commands.run("sleep 30", timeout=0.5))
    raises(SandboxException, lambda: sandbox.commands.run("true", cwd="/no/such"))
    heard = []
    sandbox.commands.run("seq 3", on_stdout=heard.append)
    equal("".join(heard), "1\n2\n3\n")
    equal(len(sandbox.commands.run("seq 100000").stdout.splitlines()), 100000)


def background(sandbox):
    handle = sandbox.commands.run("sleep 4; echo late; exit 5", background=True)
    listed = {process.pid: process for process in sandbox.commands.list()}
    equal(listed[handle.pid].args, ["-l", "-c", "sleep 4; echo late; exit 5"])
    handle.disconnect()
    again = sandbox.commands.connect(handle.pid)
    error = raises(CommandExitException, again.wait)
    equal((error.exit_code, error.stdout), (5, "late\n"))
    # The end is remembered for a while.
    error = raises(CommandExitException, sandbox.commands.connect(handle.pid).wait)
    equal(error.exit_code, 5)
    handle = sandbox.commands.run("sleep 1000", background=True)
    equal(sandbox.commands.kill(handle.pid), True)
    equal(raises(CommandExitException, handle.wait).error, "signal: killed")
    handle = sandbox.commands.run("cat", background=True, stdin=True)
    sandbox.commands.send_stdin(handle.pid, "hello")
    sandbox.commands.close_stdin(handle.pid)
    equal(handle.wait().stdout, "hello")


def files(sandbox):
    written = sandbox.files.write("dir/a.txt", "häi\n")
    equal((written.name, written.path, written.type), ("a.txt", "/home/user/dir/a.txt", FileType.FILE))
    equal(sandbox.files.read("dir/a.txt"), "häi\n")
    content = bytes(range(256)) * 4096
    sandbox.files.write_files([{"path": "/home/user/b.bin", "data": content}, {"path": "empty", "data": ""}])
    equal(bytes(sandbox.files.read("b.bin", format="bytes")), content)
    equal(b"".join(sandbox.files.read("b.bin", format="stream")), content)
    equal(sandbox.files.read("empty"), "")
    sandbox.commands.run("ln -s dir/a.txt link; ln -s nowhere broken; chmod 755 b.bin")
    listed = {entry.name: entry for entry in sandbox.files.list("/home/user", depth=5)}
    # What is neither file nor directory, like a broken link, has no type, and the SDK leaves it out.
    equal(set(listed), {"a.txt", "b.bin", "dir", "empty", "link"})
    equal((listed["dir"].type, listed["link"].type), (FileType.DIR, FileType.FILE))
    equal(listed["link"].symlink_target, "/home/user/dir/a.txt")
    equal((listed["b.bin"].size, listed["b.bin"].mode, listed["empty"].size), (1 << 20, 0o755, 0))
    equal([entry.name for entry in sandbox.files.list("dir")], ["a.txt"])
    equal((sandbox.files.exists("dir/a.txt"), sandbox.files.exists("dir/b")), (True, False))
    equal((sandbox.files.make_dir("made/deep"), sandbox.files.make_dir("made/deep")), (True, False))
    equal(sandbox.files.rename("dir", "made/moved").path, "/home/user/made/moved")
    equal(sandbox.files.get_info("made/moved/a.txt").owner, "user")
    sandbox.files.remove("made")
    equal(sandbox.files.exists("made"), False)
    raises((FileNotFoundException, NotFoundException), lambda: sandbox.files.read("made/moved/a.txt"))
    raises(SandboxException, lambda: sandbox.files.read("/home/user"))
    raises((FileNotFoundException, NotFoundException), lambda: sandbox.files.list("/no/such"))


def lifecycle(sandbox):
    query = SandboxQuery(metadata={"slipway/uid": "ns/näme"}, state=[SandboxState.RUNNING, SandboxState.PAUSED])
    equal([info.sandbox_id for info in Sandbox.list(query=query).next_items()], [sandbox.sandbox_id])
    other = SandboxQuery(metadata={"slipway/uid": "other"})
    equal(Sandbox.list(query=other).next_items(), [])
    sandbox.set_timeout(120)
    info = sandbox.get_info()
    left = info.end_at.timestamp() - time.time()
    assert 100 < left <= 121, left
    equal((info.state, info.metadata), (SandboxState.RUNNING, {"slipway/uid": "ns/näme"}))
    equal(sandbox.is_running(), True)
    # By rename, so that no read finds a file that is being written.
    tick = "while :; do date +%s%N >tock; mv tock tick; sleep 0.05; done"
    ticking = sandbox.commands.run(tick, background=True, timeout=0)
    equal(sandbox.pause(), True)
    # Paused already: E2B's 409, which is no error.
    equal(sandbox.pause(), False)
    equal((sandbox.is_running(), sandbox.get_info().state), (False, SandboxState.PAUSED))
    raises(SandboxException, lambda: sandbox.commands.run("true"))
    again = Sandbox.connect(sandbox.sandbox_id, timeout=300)
    equal(again.is_running(), True)
    equal(again.files.exists("b.bin"), True)
    deadline = time.time() + 20
    while not again.files.exists("tick"):
        assert time.time() < deadline, "the process did not begin"
        time.sleep(0.05)
    before = again.files.read("tick")
    while again.files.read("tick") == before:
        assert time.time() < deadline, "the process did not continue"
        time.sleep(0.05)
    equal(ticking.pid in [process.pid for process in again.commands.list()], True)
    control(f"/e2b/sandboxes/{sandbox.sandbox_id}/unreachable", {"unreachable": "not_found"})
    equal(again.is_running(), False)
    control(f"/e2b/sandboxes/{sandbox.sandbox_id}/unreachable", {"unreachable": None})
    equal((again.kill(), again.kill()), (True, False))
    raises(NotFoundException, lambda: Sandbox.connect(sandbox.sandbox_id))
    raises(NotFoundException, lambda: Sandbox.get_info(sandbox.sandbox_id))
    raises(NotFoundException, lambda: again.set_timeout(60))


def main():
    sandbox = Sandbox.create(
        timeout=60,
        metadata={"slipway/uid": "ns/näme"},
        envs={"A": "1"},
        lifecycle={"on_timeout": "pause"},
    )
    for check in [commands, background, files, lifecycle]:
        check(sandbox)
        print(f"e2b-python: {check.__name__}: ok", flush=True)
    error = raises(SandboxException, lambda: Sandbox.create(template="no-such-template"))
    equal(str(error), "404: template 'no-such-template' not found")
    raises(AuthenticationException, lambda: Sandbox.create(api_key="e2b_" + "1" * 40))
    expiring = Sandbox.create(timeout=60)
    control("/clock/advance", {"seconds": 61})
    equal(expiring.is_running(), False)
    raises(NotFoundException, lambda: Sandbox.connect(expiring.sandbox_id))
    print("e2b-python: all ok")


main()
