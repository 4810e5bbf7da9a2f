"""Runs test binaries of cargo, and what fails by chance once more, alone: usage in tests/integration.sh.
Neighbours: test.sh holds it to account with a cargo of its own; the Makefile prints target/flaky last."""

import json
import math
import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

CARGO = os.environ.get("CARGO") or "cargo"
# A run that takes longer hangs, and is ended.
LIMIT = float(os.environ.get("SLIPWAY_TEST_LIMIT_SECONDS") or 20 * 60)
# libtest says so about a test that is still running after 60 s.
SLOW = 60
# More failures than this are no chance, and each of them alone may take minutes to say the same.
CHANCES = 20
FLAKY = Path("target/flaky")

running: set[subprocess.Popen] = set()
printing = threading.Lock()


@dataclass
class Run:
    """One run of one command: its output line by line, each with the second at which it came."""

    label: str
    lines: list[tuple[float, str]] = field(default_factory=list)
    seconds: float = 0.0
    code: int = 0

    @property
    def text(self) -> str:
        return "".join(line for _, line in self.lines)

    def result(self) -> re.Match | None:
        """libtest's closing line."""
        closing = r"^test result: (ok|FAILED)\. (\d+) passed; (\d+) failed"
        return next(reversed(list(re.finditer(closing, self.text, re.M))), None)

    def green(self, passed: int | None = None) -> bool:
        """Whether it ended well and said so; `passed` is how many tests must have run."""
        result = self.result()
        well = self.code == 0 and result is not None and result[1] == "ok"
        return well and passed in (None, int(result[2]))

    def shown(self) -> tuple[str, str]:
        """What libtest shows of failed tests, and the list behind it. Tests may print the list's heading too."""
        result = self.result()
        shown, heading, listed = self.text[: result.start() if result else 0].rpartition("\nfailures:\n")
        return (shown, listed) if heading else (self.text, "")

    def failed(self) -> list[str]:
        """The tests that failed; none where the binary has died before it could name them all."""
        result = self.result()
        if not result or result[1] != "FAILED":
            return []
        listed = re.findall(r"^    (\S+)$", self.shown()[1], re.M)
        lines = re.findall(r"^test (\S+)(?: - should panic)? \.\.\. FAILED", self.text, re.M)
        return next((names for names in (listed, lines) if len(set(names)) == int(result[3])), [])

    def took(self, test: str) -> str:
        """How long a test has run, as far as its binary says."""
        name = re.escape(test)
        began, slow, ended = 0.0, None, self.seconds
        for at, line in self.lines:
            if re.match(r"running \d+ tests?$", line):
                began = at
            elif re.match(rf"test {name} has been running for over {SLOW} seconds", line):
                slow = at
            elif re.match(rf"test {name}( - should panic)? \.\.\. FAILED", line):
                ended = at
                break
        if slow is not None:
            return f"after {ended - slow + SLOW:.0f} s"
        return f"within {math.ceil(min(SLOW, ended - began))} s"

    def told(self, test: str) -> str:
        """What libtest shows of one failed test."""
        others = "|".join(re.escape(name) for name in self.failed())
        block = rf"^---- {re.escape(test)} stdout ----\n.*?(?=^---- (?:{others}) stdout ----$|\Z)"
        found = re.search(block, self.shown()[0], re.M | re.S)
        return found[0] if found else self.text


def end(process: subprocess.Popen, sign: signal.Signals) -> None:
    try:
        os.killpg(process.pid, sign)
    except ProcessLookupError:
        pass


def run(label: str, arguments: list[str], limit: float | None = LIMIT) -> Run:
    """Runs cargo in a process group of its own, and ends the whole group when its time is over."""
    done = Run(label)
    started = time.monotonic()
    process = subprocess.Popen(
        [CARGO, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    running.add(process)

    def read() -> None:
        for line in process.stdout:
            done.lines.append((time.monotonic() - started, line.decode(errors="replace")))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    over = False
    try:
        done.code = process.wait(limit)
    except subprocess.TimeoutExpired:
        over = True
        end(process, signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            pass
        done.code = 124
    # Whatever the binary left in its group goes, and with it whoever else holds the pipe.
    end(process, signal.SIGKILL)
    process.wait()
    running.discard(process)
    reader.join(5)
    done.seconds = time.monotonic() - started
    if over:
        done.lines.append((done.seconds, f"{label} did not end within {limit:.0f} s and was ended\n"))
    return done


def show(heading: str, text: str) -> None:
    with printing:
        print(f"=== {heading}\n{text}", end="" if text.endswith("\n") else "\n", flush=True)


def first(target: "Target") -> Run:
    done = run(target.label, target.arguments("--test-threads", "6"))
    show(f"{done.label} ({done.seconds:.0f} s, exit {done.code})", done.text)
    return done


@dataclass(frozen=True)
class Target:
    label: str
    cargo: tuple[str, ...]

    def arguments(self, *libtest: str) -> list[str]:
        return ["test", *self.cargo, "--", *libtest]


def targets(alone: list[str], together: list[str]) -> tuple[list[Target], list[Target]]:
    """The named tests of the package and every target of the simulator; ends when Cargo.toml has others."""
    answer = subprocess.run(
        [CARGO, "metadata", "--no-deps", "--format-version", "1"], stdout=subprocess.PIPE, check=True
    )
    packages = {package["name"]: package["targets"] for package in json.loads(answer.stdout)["packages"]}
    known = sorted(target["name"] for target in packages["slipway"] if "test" in target["kind"])
    if known != sorted(alone + together):
        sys.exit(f"tests/integration.sh runs {sorted(alone + together)}, Cargo.toml has {known}")

    def own(name: str) -> Target:
        return Target(name, ("--package", "slipway", "--test", name))

    simulator = []
    for target in packages["slipway-simulator"]:
        kind, name = target["kind"][0], target["name"]
        if kind in ("lib", "bin", "test"):
            which = ("--lib",) if kind == "lib" else (f"--{kind}", name)
            label = f"simulator/{name if kind == 'test' else kind}"
            simulator.append(Target(label, ("--package", "slipway-simulator", *which)))
    return [own(name) for name in alone], [own(name) for name in together] + simulator


class Verdict:
    """What came of the second runs."""

    def __init__(self) -> None:
        self.flaky: list[str] = []
        self.red: list[str] = []

    def again(self, label: str, arguments: list[str], took: str, told: str, passed: int | None) -> None:
        """Runs it once more, and shows both runs where it fails again."""
        twice = run(label, arguments)
        if twice.green(passed):
            self.flaky.append(f"{label}: failed {took}, passed alone in {twice.seconds:.0f} s")
        else:
            self.red.append(f"{label}: failed {took}, and alone after {twice.seconds:.0f} s")
            show(f"{label} failed twice; the first run", told)
        show(f"{label}, alone ({twice.seconds:.0f} s, exit {twice.code})", twice.text)
        return twice

    def binary(self, target: Target, once: Run) -> None:
        """One binary that was not green."""
        for test in once.failed():
            arguments = target.arguments("--exact", test, "--test-threads", "1")
            self.again(f"{target.label} {test}", arguments, once.took(test), once.told(test), passed=1)
        if not once.failed():
            arguments = target.arguments("--test-threads", "6")
            took = f"after {once.seconds:.0f} s (exit {once.code}) without a list"
            self.again(target.label, arguments, took, once.text, passed=None)


def build(verdict: Verdict) -> bool:
    arguments = ["test", "--workspace", "--tests", "--no-run"]
    runs = []
    for label in ("build", "build, again"):
        done = run(label, arguments, limit=None)
        show(f"{label} ({done.seconds:.0f} s, exit {done.code})", done.text)
        runs.append(done)
        if done.code == 0:
            break
    if runs[-1].code != 0:
        return False
    if len(runs) == 2:
        once, twice = (f"{done.seconds:.0f} s" for done in runs)
        verdict.flaky.append(f"build: failed after {once}, passed again in {twice}")
    return True


def main(arguments: list[str]) -> int:
    at = arguments.index("--")
    alone, together = targets(arguments[:at], arguments[at + 1 :])
    FLAKY.parent.mkdir(exist_ok=True)
    FLAKY.unlink(missing_ok=True)
    verdict = Verdict()
    if not build(verdict):
        return 1
    runs = [(target, first(target)) for target in alone]
    with ThreadPoolExecutor(2) as pool:
        runs += zip(together, pool.map(first, together))
    open_ = [(target, once) for target, once in runs if not once.green()]
    failures = sum(max(1, len(once.failed())) for _, once in open_)
    if failures > CHANCES:
        verdict.red.append(f"{failures} tests failed: that is no chance, none was run again")
    else:
        for target, once in open_:
            verdict.binary(target, once)
    for heading, lines in (("FAILED", verdict.red), ("FLAKY", verdict.flaky)):
        if lines:
            print(f"{heading}\n" + "\n".join(lines), flush=True)
    if verdict.flaky:
        FLAKY.write_text("\n".join(verdict.flaky) + "\n")
    return 1 if verdict.red else 0


def stop(number: int, _frame: object) -> None:
    for process in list(running):
        end(process, signal.SIGTERM)
    os._exit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    sys.exit(main(sys.argv[1:]))
