"""Peak memory of one worker, verb by verb, on one large archive.

    python tests/bench/memory.py ARCHIVE... [--megabytes 3000] [--verbs prepare extract match refine] [--folder DIR]
        [--recipe cc100] [--set section.key=value]... [--remember] [--json]

The archives are written one behind the other, again and again, until one archive of `--megabytes` is full: gzip members
may follow each other, so that is an archive as well. Copies of a page are duplicates, so `match` drops nearly all;
`--set match.documents=false --set match.paragraphs=false` keeps them, which is the most that `refine` can be given.
Each verb runs in a process of its own, one unit after the other, so that the peak of its memory is its own. CPU seconds
are those of that process. --remember: the text of a page is taken once and remembered for its copies, a third of the
time for some 100 MB, which the peak of `extract` then has on top.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cc100.engines import in_process
from cc100.layout import Run, sources_of
from cc100.recipe import load_recipe
from cc100.run import run_verb
from ccbuild import runner
from ccbuild.progress import silent


def fill(archives: list[Path], target: Path, nbytes: int) -> None:
    """Write `archives` behind each other to `target` until it has `nbytes`."""
    with target.open("wb") as out:
        while out.tell() < nbytes:
            for archive in archives:
                with archive.open("rb") as source:
                    shutil.copyfileobj(source, out, 1 << 20)


def megabytes(name: str) -> int:
    """This process's memory by its own status: ru_maxrss would start with that of the parent."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) >> 10


@contextmanager
def watched_memory(most: list[int]) -> Iterator[None]:
    """While the block runs, note the most memory that is mapped from no file, which Linux itself does not keep."""
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(0.1):
            most[0] = max(most[0], megabytes("RssAnon"))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    yield
    ended.set()
    thread.join()


def remember() -> None:
    """Let `extract` take the text of equal payloads once."""
    take, known = runner.page_text, dict[bytes, Any]()

    def again(kind: Any, status: Any, content_type: Any, payload: bytes, config: Any) -> Any:
        key = hashlib.blake2b(payload, digest_size=16).digest()
        if key not in known:
            known[key] = take(kind, status, content_type, payload, config)
        return known[key]

    runner.page_text = again  # type: ignore[attr-defined]


def measure(verb: str, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Do one verb of the run in `folder`, in this process."""
    if options.remember:
        remember()
    run = Run(folder / "run", load_recipe(options.recipe, options.set))
    sources = sources_of([str(folder / "large.warc.gz")])
    table = run.admit(sources)
    start, cpu, bare = time.monotonic(), time.process_time(), megabytes("VmRSS")
    most = [0]
    with watched_memory(most):
        done = run_verb(run, verb, in_process(), silent, sources, table)
    if done.failures:
        raise SystemExit(done.failures[0].error)
    return {
        "verb": verb,
        "seconds": round(time.monotonic() - start, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
        "bare_megabytes": bare,
        "peak_megabytes": megabytes("VmHWM"),
        "peak_beside_files": most[0],
        "by_stage": {name: round(seconds, 1) for name, seconds in done.cpu.items()},
    }


def in_child(verb: str, folder: Path) -> dict[str, Any]:
    """`measure` in a process of its own."""
    command = [sys.executable, __file__, *sys.argv[1:], "--one", verb, "--folder", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{verb} failed: {done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archives", nargs="+", type=Path)
    parser.add_argument("--megabytes", type=int, default=3000)
    parser.add_argument("--verbs", nargs="+", default=["prepare", "extract", "match", "refine"])
    parser.add_argument("--folder", type=Path, help="where archive and run go, and stay (default: a temporary folder)")
    parser.add_argument("--recipe", default="cc100")
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--remember", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one, options.folder, options)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        (folder / "run").mkdir(parents=True, exist_ok=True)
        if not (folder / "large.warc.gz").exists():
            fill(options.archives, folder / "large.warc.gz", options.megabytes * 1_000_000)
        results = []
        for verb in options.verbs:
            results.append(in_child(verb, folder))
            if not options.json:
                print(f"{verb}: {json.dumps(results[-1])}", flush=True)
        if options.json:
            print(json.dumps({"machine": platform.machine(), "python": platform.python_version(), "verbs": results}))


if __name__ == "__main__":
    main()
