"""Tampered runs: a file of a tiny run is changed, and the run is predicted, evaluated, resumed or exported."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import random
import shutil
import tempfile
from pathlib import Path
from typing import Any

from fuzz_parts.trying import ACCEPTED, RAW, REFUSED

from kplug.errors import BlownUp, SpecError, WorkerLost

SPEC = """
name: tampered
task: {type: classification, model: {type: layers, layers: [flatten, {type: dense, units: 4}]}}
data: {source: digits, sampler: {type: shuffled, batch_size: 512}}
fit: {epochs: 2, checkpoint: {steps: 2, keep: 2}, jit: false}
"""
COMMANDS = {
    "predict": ["predict", "RUN", "PICTURE", "--json"],
    "evaluate": ["evaluate", "RUN", "--json"],
    "resume": ["train", "--resume", "RUN"],
    "go on": ["train", "--resume", "RUN", "--set", "fit.epochs=3"],
    "export": ["export", "RUN"],
    "runs": ["runs", "."],
}
WEIGHTS = {"predict": 6, "evaluate": 5, "resume": 6, "go on": 4, "export": 1, "runs": 3}  # an export takes longest
VALUES = [None, True, -1, 0, 2**31, 2**63, 1e308, "", "x", "..", "/etc/passwd", "a" * 10_000, [], {}, [[]], {"a": 1}]
OTHER = (b"null", b"[]", b"{}", b"\x00" * 64, "{}".encode("utf-16"), b"\xff" * 64, b"NaN", b"- a\n")


class TamperedRuns:
    """A run with a change in one or two of its files."""

    seconds, megabytes, added, lasts = 60.0, 1_000.0, True, 50

    def begin(self) -> None:
        """Train the run that the others are copies of."""
        from kplug.console import load_tensorflow

        load_tensorflow()
        import kplug
        from kplug.cli import cli
        from kplug.spec.plugins import host

        host().add_commands(cli)
        self.folder = Path(tempfile.mkdtemp(prefix="kplug-fuzz-"))
        with _quiet():
            kplug.train(kplug.loads(SPEC), self.folder / "whole")
        _write_picture(self.folder / "picture.png")

    def case(self, seed: int, index: int) -> random.Random:
        """What the command and the changes are drawn from, once the files of the run are known."""
        return random.Random(f"runs {seed} {index}")

    def file(self, rng: random.Random) -> tuple[bytes, str]:
        """The command; the line of the finding says what was changed."""
        return f"{' '.join(COMMANDS[_command(rng)])}\n".encode(), ".txt"

    def run(self, rng: random.Random) -> tuple[str, str]:
        """Give a changed copy of the run to a command."""
        name = _command(rng)
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            sandbox = Path(folder)
            run, outside = sandbox / "run", sandbox / "outside"
            shutil.copytree(self.folder / "whole", run)
            _make_outside(outside)
            if name == "resume":
                (run / "result.json").unlink()
            changes = [tamper(run, outside, rng) for _ in range(rng.choice((1, 1, 1, 2)))]
            before = _seen(outside)
            words = {"RUN": str(run), "PICTURE": str(self.folder / "picture.png"), ".": str(sandbox)}
            try:
                verdict, said = _asked([words.get(word, word) for word in COMMANDS[name]])
            except Exception as error:
                error.args = (f"{error} [{name} after {'; '.join(changes)}]",)
                raise
            if _seen(outside) != before:
                verdict, said = RAW, f"it wrote outside of the run; {said}"
        return verdict, f"{said} [{name} after {'; '.join(changes)}]"


def _command(rng: random.Random) -> str:
    return rng.choices(list(COMMANDS), [WEIGHTS[name] for name in COMMANDS])[0]


def _asked(words: list[str]) -> tuple[str, str]:
    """The verdict of a command of this process."""
    import click

    from kplug.cli import cli
    from kplug.errors import PluginFailed

    try:
        with _quiet():
            cli.main(words, prog_name="kplug", standalone_mode=False)
    except (SpecError, BlownUp, WorkerLost, PluginFailed, click.ClickException) as error:
        return REFUSED, str(error).partition("\n")[0][:200]
    except SystemExit as error:
        return (REFUSED, f"exit code {error.code}") if error.code else (ACCEPTED, "")
    return ACCEPTED, ""


@contextlib.contextmanager
def _quiet() -> Any:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


def _write_picture(file: Path) -> None:
    import numpy
    from PIL import Image

    Image.fromarray(numpy.arange(64, dtype=numpy.uint8).reshape(8, 8) * 3).save(file)


# --- outside of the run ----------------------------------------------------------------------------------------------


def _make_outside(outside: Path) -> None:
    (outside / "folder").mkdir(parents=True)
    (outside / "victim.txt").write_text("untouched\n")
    (outside / "victim.json").write_text("{}")
    (outside / "folder" / "inside.txt").write_text("untouched\n")


def _seen(outside: Path) -> dict[str, str]:
    files = sorted(outside.rglob("*"))
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else "" for file in files}


# --- changes ---------------------------------------------------------------------------------------------------------


def tamper(run: Path, outside: Path, rng: random.Random) -> str:
    """Change one file of a run, and say how."""
    files = sorted(file for file in run.rglob("*") if file.is_file() and not file.is_symlink())
    files = [file for file in files if "tensorboard" not in file.parts and "plots" not in file.parts]
    file = rng.choice(files)
    name = file.relative_to(run)
    if file.suffix in (".json", ".jsonl") and rng.random() < 0.7:
        return f"{name}: {_change_json(file, rng)}"
    return f"{name}: {rng.choice(CHANGES)(file, outside, rng)}"


def _change_json(file: Path, rng: random.Random) -> str:
    lines = file.read_text().splitlines() if file.suffix == ".jsonl" else [file.read_text()]
    at = rng.randrange(len(lines)) if lines else 0
    try:
        tree = json.loads(lines[at])
    except (ValueError, IndexError):
        return "left as it is"
    places = list(_places(tree))
    if not places or rng.random() < 0.05:
        tree, said = rng.choice(VALUES), "all of it is another value"
    else:
        holder, step = rng.choice(places)
        if rng.random() < 0.4:
            del holder[step]
            said = f"{step} is gone"
        else:
            holder[step] = rng.choice([*VALUES, str(holder[step]), [holder[step]]])
            said = f"{step} is {str(holder[step])[:40]}"
    lines[at] = json.dumps(tree)
    if rng.random() < 0.05:
        lines[at], said = "[" * 100_000, "nested deeply"
    file.write_text("\n".join(lines) + "\n")
    return said


def _places(tree: Any) -> Any:
    if isinstance(tree, dict | list):
        for step, value in list(tree.items() if isinstance(tree, dict) else enumerate(tree)):
            yield tree, step
            yield from _places(value)


def _remove(file: Path, outside: Path, rng: random.Random) -> str:
    file.unlink()
    return "removed"


def _empty(file: Path, outside: Path, rng: random.Random) -> str:
    file.write_bytes(b"")
    return "emptied"


def _truncate(file: Path, outside: Path, rng: random.Random) -> str:
    content = file.read_bytes()
    size = rng.randrange(len(content) + 1)
    file.write_bytes(content[:size])
    return f"cut to {size} bytes"


def _flip(file: Path, outside: Path, rng: random.Random) -> str:
    content = bytearray(file.read_bytes())
    at = [rng.randrange(len(content)) for _ in range(rng.choice((1, 4, 40)))] if content else []
    for place in at:
        content[place] ^= 1 << rng.randrange(8)
    file.write_bytes(bytes(content))
    return f"{len(at)} bits flipped"


def _append(file: Path, outside: Path, rng: random.Random) -> str:
    file.write_bytes(file.read_bytes() + rng.choice((b"\x00" * 100, b"x", b"{}", b"\xff\xfe", b"\n" * 1_000)))
    return "longer"


def _link(file: Path, outside: Path, rng: random.Random) -> str:
    target = rng.choice((outside / "victim.txt", outside / "victim.json", outside / "folder", outside / "nothing"))
    if rng.random() < 0.3 and file.parent.name != "run":
        folder = file.parent
        moved = outside / "folder" / "moved"
        shutil.copytree(folder, moved, dirs_exist_ok=True)
        shutil.rmtree(folder)
        folder.symlink_to(moved)
        return "its folder is a link to a folder outside"
    if rng.random() < 0.3:
        shutil.copy(file, outside / "copy")
        target = outside / "copy"
    file.unlink()
    file.symlink_to(target)
    return f"a link to {target.name} outside"


def _folder(file: Path, outside: Path, rng: random.Random) -> str:
    file.unlink()
    file.mkdir()
    return "a folder"


def _lock(file: Path, outside: Path, rng: random.Random) -> str:
    """Put a link in the place of what a command makes in a run."""
    run = next(parent for parent in file.parents if parent.name == "run")
    name = rng.choice(("lock", "export", "plots", "tensorboard", "evaluation-test.json", "checkpoints", "samples"))
    place = run / name
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    elif os.path.lexists(place):
        place.unlink()
    target = rng.choice((outside / "victim.txt", outside / "folder"))
    place.symlink_to(target)
    return f"and {name} is a link to {target.name} outside"


def _other(file: Path, outside: Path, rng: random.Random) -> str:
    file.write_bytes(rng.choice(OTHER))
    return "other content"


CHANGES = (_remove, _empty, _truncate, _flip, _flip, _flip, _append, _link, _link, _folder, _lock, _other)
