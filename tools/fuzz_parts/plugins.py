"""Broken plugins and distributions: every command answers as it does without them, but for the line that says so."""

from __future__ import annotations

import importlib
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
from functools import cached_property
from pathlib import Path
from typing import Any

from fuzz_parts.trying import ACCEPTED, RAW

ROOT = Path(__file__).resolve().parents[2]
OWNER = "hostile"
Case = tuple[str, str, str, dict[str, bytes | None]]
SPEC = """
name: good
task: {type: classification, model: {type: layers, layers: [flatten]}, loss: LOSS}
data: {source: digits, sampler: {type: shuffled, batch_size: 512}}
fit: {epochs: 1, jit: false}
"""
SEARCH = "search: {oracle: {type: random, trials: 1}, space: {task.label_smoothing: {choice: [0.0, 0.1]}}}\n"
LIGHT = {
    "check": ["check", "good.yaml"],
    "check --json": ["check", "--json", "good.yaml", "bad.yaml"],
    "check bad": ["check", "bad.yaml"],
    "fill": ["fill", "good.yaml"],
    "components": ["components", "--json"],
    "components KIND": ["components", "pruner"],
    "components KIND NAME": ["components", "loss", "cross_entropy"],
    "plugins": ["plugins", "--json"],
    "schema": ["schema"],
    "--help": ["--help"],
    "--version": ["--version"],
}

# --- what a plugin does ----------------------------------------------------------------------------------------------

BAD = """class Bad(Exception):
    def __str__(self):
        raise ValueError("no text")
    __repr__ = __str__
"""
RAISE = {
    "raises": "raise RuntimeError('two\\nlines \\x1b[31m')",
    "raises SpecError": "raise kplug.SpecError('made up')",
    "raises what cannot say itself": "raise Bad",
    "leaves": "import sys; sys.exit(0)",
    "leaves with 3": "import sys; sys.exit(3)",
    "leaves with words": "import sys; sys.exit('bye')",
    "runs out of stack": "f = lambda: f()\n{indent}f()",
    "raises StopIteration": "raise StopIteration",
    "raises a BaseException": "raise type('Own', (BaseException,), {})('own')",
    "asserts": "assert False",
    "raises a group": "raise ExceptionGroup('many', [ValueError(1), TypeError(2)])",
}
TALK = {
    "prints": "print('{\"printed\": 1}')",
    "writes to the descriptor": "import os; os.write(1, b'written\\n')",
    "writes to __stdout__": "import sys; sys.__stdout__.write('written\\n')",
    "changes directory": "import os; os.chdir('/')",
    "warns": "import warnings; warnings.warn('beware')",
}
GIVEN = {
    "gives 5": "5",
    "gives text": "'text'",
    "gives functions of another kind": "[len]",
    "gives None inside": "[None]",
    "gives a mapping": "{'a': object()}",
    "gives a class": "[int]",
    "gives itself": "(lambda l: l.append(l) or l)([])",
    "gives a lambda": "[lambda: 1]",
    "gives what has no name": "[__import__('functools').partial(print)]",
}
GIVE = {name: f"return {value}" for name, value in GIVEN.items()}
PARAMETERS = {  # of a component whose signature is wrong
    "a default of text for a number": "a: int = 'text'",
    "a default that is an object": "b: bool = object()",
    "a default that is not finite": "a: float = float('nan')",
    "a default beyond its limits": "a: kplug.Count = 0",
    "a default that is a set": "a: list[int] = {1, 2}",
    "a default of bytes": "a: str = b'x'",
    "a default node of no name": "a: kplug.Loss = 5",
    "a default node that leads to itself": "a: kplug.Loss = 'broken'",
    "a default call that leads to itself": "a: kplug.Loss = kplug.call('broken')",
    "a default list that leads to itself": "a: list[kplug.Loss] = ('broken',)",
    "a default node that is not there": "a: kplug.Loss = 'nowhere_at_all'",
    "a default call with an object": "a: kplug.Loss = kplug.call('focal', gamma=object())",
    "a default that is not compared": "a: int = type('N', (int,), {'__eq__': lambda s, o: 1 / 0, '__hash__': hash})(1)",
    "an annotation that is no type": "a: 5 = 5",
    "an annotation of text": "a: 'nowhere.to.be.found' = 1",
    "an annotation of a set": "a: set[int] = None",
    "an annotation without a hash": "a: kplug.kinds.Annotated[int, []] = 1",
    "an annotation of two kinds": "a: kplug.Loss | kplug.Metric = 'x'",
    "an annotation of a kind of nobody": "a: kplug.kinds.Annotated[int, kplug.kinds.Kind('odd', 'x')] = 'x'",
    "no annotation": "a=1",
    "type": "type: str = 'x'",
    "open arguments": "*a: int",
    "a parameter of any": "a: object = None",
    "a predicate that raises": "a: kplug.kinds.Annotated[int, kplug.kinds.Predicate(lambda n: 1 / 0)] = 1",
}
IN_LIGHT = ("import", "components", "kinds", "commands", "rule")
HOOKS = {"callbacks": "train", "evaluated": "evaluate", "exported": "export", "searched": "search"}
HEAVY = (*HOOKS, "build")
NAMED_AT = ("import", "components", "kinds", "commands")  # where a plugin that fails is set aside, or adds no commands
METADATA = "Metadata-Version: 2.1\nName: hostile\nVersion: 1.0\n"
ENTRIES = "[kplug]\nhostile = hostile_plugin\n"
DISTRIBUTIONS: dict[str, dict[str, bytes | None]] = {
    "without METADATA": {"METADATA": None},
    "empty METADATA": {"METADATA": b""},
    "nameless": {"METADATA": b"Metadata-Version: 2.1\nVersion: 1.0\n"},
    "METADATA not UTF-8": {"METADATA": METADATA.encode() + b"Summary: \xff\xfe\xe9\n"},
    "a name that is not UTF-8": {"METADATA": b"Metadata-Version: 2.1\nName: host\xffile\nVersion: 1.0\n"},
    "a name of two lines": {"METADATA": b"Metadata-Version: 2.1\nName: hos\n tile\nVersion: 1\n"},
    "without a version": {"METADATA": b"Metadata-Version: 2.1\nName: hostile\n"},
    "bad entry_points.txt": {"entry_points.txt": b"[kplug]\nthis is no entry\n"},
    "entry_points.txt not UTF-8": {"entry_points.txt": b"[kplug]\nhostile = host\xff\xfe\n"},
    "entry_points.txt without a section": {"entry_points.txt": b"hostile = hostile_plugin\n"},
    "an entry of nothing": {"entry_points.txt": b"[kplug]\nhostile =\n"},
    "an entry of nowhere": {"entry_points.txt": b"[kplug]\nhostile = nowhere_to_be_found:x.y\n"},
    "an entry with odd letters": {"entry_points.txt": "[kplug]\nhöstile\u202e = hostile_plugin\n".encode()},
    "two entries of one name": {"entry_points.txt": ENTRIES.encode() + b"hostile = hostile_plugin\n"},
    "two sections of one name": {"entry_points.txt": ENTRIES.encode() * 2},
    "an entry of the standard library": {"entry_points.txt": b"[kplug]\nhostile = this\n"},
    "another group that is bad": {"entry_points.txt": b"[console_scripts]\nno entry at all\n"},
    "nul bytes": {"METADATA": b"\x00" * 100, "entry_points.txt": b"\x00" * 100},
    "METADATA is a folder": {"METADATA": b"/"},
    "entry_points.txt is a folder": {"entry_points.txt": b"/"},
    "METADATA is a link that leads nowhere": {"METADATA": b">"},
}


SOURCE = """
import kplug
import kplug.kinds

kplug_api = 2

{bad}
{import_}

def checks(a):
{rule}

{marks}def broken({parameter}) -> kplug.Loss:
    'A loss.'
{build}
    import keras
    return keras.losses.CategoricalCrossentropy(from_logits=True)

@kplug.hookimpl
def components():
{components}
    return [broken]

{hooks}
"""
TAKES = {
    **{"kinds": "", "commands": "cli", "callbacks": "run", "exported": "run, path", "searched": "search"},
    "evaluated": "run, split, name, predictions, columns",
}


def plugin(place: str = "", deed: str = "", parameter: str = "a: kplug.NonNegative = 1.0") -> str:
    """The source of a plugin that does something wrong at one place, or has a parameter that is wrong."""
    at = {place: deed}
    hooks = [f"@kplug.hookimpl\ndef {place}({TAKES[place]}):\n{_body(deed)}"] if place in TAKES else []
    return SOURCE.format(
        bad=BAD,
        import_=at.get("import", "").replace("{indent}", ""),
        rule=_body(at.get("rule", "")),
        marks="@kplug.rule(checks)\n" if place == "rule" else "",
        parameter=parameter,
        build=_body(at.get("build", "")),
        components=_body(at.get("components", "")),
        hooks="\n".join(hooks),
    )


def _body(deed: str) -> str:
    return "    " + (deed or "pass").replace("{indent}", "    ")


# --- the part --------------------------------------------------------------------------------------------------------


class BrokenPlugins:
    """A site folder with one plugin that is broken, in its code, in a signature or in its metadata."""

    seconds, megabytes, added, lasts = 600.0, 4_000.0, False, 100
    heavy = True  # hooks and builds too, each in a process of its own with TensorFlow

    def begin(self) -> None:
        """Make the specs, and hear what commands say without a broken plugin."""
        self.folder = Path(tempfile.mkdtemp(prefix="kplug-fuzz-"))
        os.environ["KPLUG_DISABLE_PLUGINS"] = ",".join(path.name for path in (ROOT / "plugins").iterdir())
        for name, loss in (("good", "cross_entropy"), ("mine", "broken"), ("bad", "crss_entropy")):
            (self.folder / f"{name}.yaml").write_text(SPEC.replace("LOSS", loss))
        (self.folder / "searched.yaml").write_text(SPEC.replace("LOSS", "cross_entropy") + SEARCH)
        importlib.import_module("kplug.cli")  # once, and not in every process that is forked
        importlib.import_module("kplug.spec.plugins")._with_built_ins()
        os.chdir(self.folder)
        empty = self.folder / "empty"
        empty.mkdir()
        self.without = {name: answer(empty, words) for name, words in LIGHT.items()}

    @cached_property
    def run_without(self) -> Path:
        """A run that was trained without a broken plugin."""
        done = _process(self.folder / "empty", ["train", "good.yaml", "--run", "whole"])
        if done.returncode:
            raise RuntimeError(done.stderr)
        return self.folder / "whole"

    def case(self, seed: int, index: int) -> Case:
        """What is broken, in words; the place; the source; files of the dist-info that are others."""
        rng = random.Random(f"plugins {seed} {index}")
        sort = rng.choices(("deed", "parameter", "distribution", "heavy"), (40, 24, 21, 15 if self.heavy else 0))[0]
        if sort == "parameter":
            name, parameter = rng.choice(list(PARAMETERS.items()))
            return name, "components", plugin(parameter=parameter), {}
        if sort == "distribution":
            name, files = rng.choice(list(DISTRIBUTIONS.items()))
            return name, "", plugin(), files
        place = rng.choice(IN_LIGHT if sort == "deed" else HEAVY)
        deeds = RAISE | TALK | (GIVE if place in ("components", "kinds", *HOOKS) else {})
        name, deed = rng.choice(list(deeds.items()))
        return f"{name} in {place}", place, plugin(place, deed), {}

    def file(self, case: Case) -> tuple[bytes, str]:
        """The source of the plugin, and what its distribution has in place of the ordinary files."""
        name, _, source, files = case
        return f"# {name}\n# {files}\n{source}".encode(), ".py"

    def run(self, case: Case) -> tuple[str, str]:
        """Give the plugin to every command, and compare."""
        name, place, source, files = case
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            site = Path(folder)
            install(site, source, files)
            said = {command: self._lost(site, name, place, command, words) for command, words in LIGHT.items()}
            said["check mine"] = self._lost_of_its_own(site, name, place)
            lost = [f"{command}: {why}" for command, why in said.items() if why]
            if place in HEAVY and not lost:
                lost += self._lost_in_work(site, place, name)
        return (RAW, f"{name}: {'; '.join(lost)}"[:600]) if lost else (ACCEPTED, name)

    def _lost(self, site: Path, name: str, place: str, command: str, words: list[str]) -> str:
        """Why a command is lost; "" where it answers as it does without the plugin, and names one that fails."""
        code, out, err = answer(site, words)
        wanted_code, wanted_out, wanted_err = self.without[command]
        said = [line for line in err.splitlines() if not line.startswith("kplug: plugin ")]
        fails = name.rpartition(" in ")[0] in RAISE and place in NAMED_AT
        if fails and command == "check" and OWNER not in err:
            return f"the plugin is not named: {err[-200:]!r}"
        if "Traceback" in err and "set aside:\nTraceback" not in err:
            return f"raw: {err.strip().splitlines()[-1]}"
        if code != wanted_code:
            return f"exit code {code}, not {wanted_code}: {err[-200:]}"
        if _without_strangers(command, out) != _without_strangers(command, wanted_out):
            return f"stdout is another: {out[:200]!r}"
        # what a plugin prints or warns of goes to stderr
        if not set(wanted_err.splitlines()) <= set(said):
            return f"stderr lacks {set(wanted_err.splitlines()) - set(said)}"
        return ""

    def _lost_of_its_own(self, site: Path, name: str, place: str) -> str:
        """Why the check of a spec that uses the plugin, and of one that does not, is lost; "" where it is not."""
        code, out, err = answer(site, ["check", "--json", "mine.yaml", "good.yaml"])
        if "Traceback" in err and "set aside:\nTraceback" not in err:
            return f"raw: {err.strip().splitlines()[-1]}"
        if not _is_json(out):
            return f"stdout is no JSON: {out[:200]!r}"
        wrong = [problem["where"] for problem in json.loads(out)["problems"]]
        if any(not where.startswith("mine.yaml") for where in wrong) or code != (2 if wrong else 0):
            return f"exit code {code}, problems at {wrong}"
        if place == "rule" and name.rpartition(" in ")[0] in RAISE and OWNER not in err:
            return f"the plugin is not named: {err[-200:]!r}"
        return ""

    def _lost_in_work(self, site: Path, place: str, name: str) -> list[str]:
        """Why a command that trains, evaluates, exports or searches is lost."""
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            command = HOOKS.get(place, "train")
            run = Path(folder) / "run"
            if command in ("evaluate", "export"):
                shutil.copytree(self.run_without, run)
            spec = {"build": "mine.yaml", "searched": "searched.yaml"}.get(place, "good.yaml")
            words = {
                "train": ["train", spec, "--run", str(run), "--json"],
                "evaluate": ["evaluate", str(run), "--json"],
                "export": ["export", str(run), "--json"],
                "search": ["search", spec, "--to", str(run), "--json"],
            }[command]
            done = _process(site, words)
            failed = any(word in name for word in ("raises", "leaves", "asserts", "stack")) or (
                "gives" in name and place in ("callbacks", "evaluated")
            )
            wrong = []
            if failed and done.returncode == 0:
                wrong.append(f"{command}: exit code 0, and the plugin failed")
            if failed and OWNER not in done.stderr:
                wrong.append(f"{command}: the plugin is not named: {done.stderr[-300:]}")
            if not failed and done.returncode:
                wrong.append(f"{command}: exit code {done.returncode}: {done.stderr[-300:]}")
            if not failed and not _is_json(done.stdout):
                wrong.append(f"{command} --json: stdout is no JSON: {done.stdout[:200]!r}")
            if command == "evaluate" and not (run / "evaluation-test.json").exists():
                wrong.append("evaluate: the metrics are lost")
            return wrong


def install(site: Path, source: str, files: dict[str, bytes | None]) -> None:
    """Put a plugin into a site folder, as pip would; files of its dist-info may be others, or missing."""
    (site / "hostile_plugin.py").write_text(source)
    info = site / "hostile-1.0.dist-info"
    info.mkdir()
    for name, content in ({"METADATA": METADATA.encode(), "entry_points.txt": ENTRIES.encode()} | files).items():
        if content == b"/":
            (info / name).mkdir()
        elif content == b">":
            (info / name).symlink_to("nowhere")
        elif content is not None:
            (info / name).write_bytes(content)


def _without_strangers(command: str, out: str) -> Any:
    """An answer without what belongs to other distributions than kplug."""
    try:
        found = json.loads(out)
    except ValueError:
        return out
    if command in ("components", "plugins"):
        return [one for one in found if one["distribution"] == "kplug"]
    if command == "schema":
        return sorted(name for name in found["definitions"] if "broken" not in name)
    return found


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


# --- commands --------------------------------------------------------------------------------------------------------


def answer(site: Path, words: list[str]) -> tuple[int, str, str]:
    """The exit code, stdout and stderr of a command that sees a site folder, in a process that is forked."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if not child:
            _become(site, words, out.fileno(), err.fileno())
        _, status = os.waitpid(child, 0)
        out.seek(0)
        err.seek(0)
        texts = out.read().decode("utf-8", "replace"), err.read().decode("utf-8", "replace")
        return os.waitstatus_to_exitcode(status), *texts


def _become(site: Path, words: list[str], out: int, err: int) -> None:
    """Be the command line, in a child that has imported kplug and discovered nothing."""
    code = 70
    try:
        resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
        os.dup2(out, 1)
        os.dup2(err, 2)
        sys.path.insert(0, str(site))
        importlib.invalidate_caches()
        sys.argv = ["kplug", *words]
        from kplug import cli
        from kplug.spec import plugins

        plugins._host = None
        try:
            cli.main()
        except SystemExit as left:
            code = left.code if isinstance(left.code, int) else 0 if left.code is None else 1
        except BaseException:
            import traceback

            traceback.print_exc()
            code = 1
        for stream in (sys.__stdout__, sys.__stderr__, sys.stdout, sys.stderr):
            stream.flush()
    finally:
        os._exit(code)


def _process(site: Path, words: list[str]) -> subprocess.CompletedProcess[str]:
    places = os.pathsep.join([str(ROOT), str(site)])
    environment = {**os.environ, "PYTHONPATH": places}
    command = [sys.executable, "-m", "kplug", *words]
    return subprocess.run(command, env=environment, cwd=site.parent, capture_output=True, text=True, timeout=3_000)
