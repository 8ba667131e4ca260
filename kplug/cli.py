"""The command line: parse, call, print, nothing else."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import Any, NoReturn

import click

from kplug import __version__
from kplug.console import heard, load_tensorflow, log, lost_results, open_streams, results_apart
from kplug.errors import (
    BROKE,
    INPUT_IS_WRONG,
    INTERRUPTED,
    BlownUp,
    PluginFailed,
    Problem,
    SearchStopped,
    SpecError,
    Terminated,
    WorkerLost,
)
from kplug.inference.run import open_run
from kplug.spec.plugins import PluginError, host
from kplug.spec.spec import load_with, values_of
from kplug.storage.files import in_json, with_nan


def changes(help: str) -> Any:
    """The option `--set`."""
    return click.option("--set", "changes", metavar="PATH=VALUE", multiple=True, help=help)


changed_spec = changes("Change the spec, value in YAML.")
as_json = click.option("--json", "as_json", is_flag=True, help="Answer with JSON.")


def number(flag: str, default: int, help: str) -> Any:
    """The option of a number of at least 1."""
    return click.option(flag, default=default, show_default=True, type=click.IntRange(min=1), help=help)


class Commands(click.Group):
    """The commands in the order in which a person meets them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__)
def cli() -> None:
    """Image models in Keras from a YAML spec: check it, train it, evaluate it, serve it.

    Results are on stdout, progress on stderr. Exit codes: 0 done, 2 the input is wrong, 1 it broke, 130 Ctrl-C, 143
    terminated.
    """


@cli.command()
@click.argument("specs", nargs=-1, required=True, metavar="SPEC...")
@changed_spec
@as_json
def check(specs: tuple[str, ...], changes: tuple[str, ...], as_json: bool) -> None:
    """Say what is wrong with specs, without loading TensorFlow.

    Files and folders that they name and that are not there are named, on stderr: where a training is to begin they must
    be.
    """
    problems: list[Problem] = []
    missing: list[Problem] = []
    for path in specs:
        try:
            lacking = load_with(path, changes).missing_files()
            if not as_json:
                print(f"{path}: good")
            for problem in lacking:
                log(f"{problem} (relative to {os.getcwd()})")
            missing += lacking
        except SpecError as error:
            problems += error.problems
            complain(error)
    if as_json:
        told = {"problems": problems} | ({"missing": missing} if missing else {})
        print(in_json({name: [_in_json(one) for one in found] for name, found in told.items()}, 2))
    if problems:
        raise SystemExit(INPUT_IS_WRONG)


def _in_json(problem: Problem) -> dict[str, Any]:
    return {"where": problem.where, "path": list(problem.path), "message": problem.message}


@cli.command()
@click.argument("spec")
@changed_spec
def fill(spec: str, changes: tuple[str, ...]) -> None:
    """Print a spec with every default written out."""
    print(load_with(spec, changes).filled().dump(), end="")


@cli.command()
@click.argument("spec", required=False)
@changed_spec
@click.option("--run", metavar="DIR", help="A new directory for the run.  [default: the next number in runs/NAME]")
@click.option("--go-on", is_flag=True, help="With --run: where DIR holds an unfinished run of SPEC, go on with it.")
@click.option("--resume", metavar="RUN", help="Go on with a run that did not finish, instead of SPEC.")
@as_json
def train(
    spec: str | None, changes: tuple[str, ...], run: str | None, go_on: bool, resume: str | None, as_json: bool
) -> None:
    """Train a spec into a run directory, or go on with a run."""
    if bool(spec) == bool(resume) or (resume and run) or (go_on and not run):
        raise click.UsageError("give a SPEC, with or without --run DIR [--go-on], or --resume RUN")
    checked = load_with(spec, changes) if spec else None
    load_tensorflow()
    from kplug.training.fit import resume as resume_run
    from kplug.training.fit import train as train_spec

    with results_apart():
        made = train_spec(checked, run, go_on) if checked else resume_run(str(resume), values_of(changes))
    if made.path.exists():  # that of a worker that is not the chief is gone
        answer(made.result, as_json)


@cli.command()
@click.argument("run")
@click.option("--split", default="test", show_default=True, help="train, validation or test.")
@number("--views", 1, "Mean over so many views of an example: itself and others, as data.augment makes them.")
@changes("Change data or evaluators: the source, the augmentation.")
@click.option("--name", help="Of an evaluation with --views or --set; part of the names of its files.")
@as_json
def evaluate(run: str, split: str, views: int, changes: tuple[str, ...], name: str | None, as_json: bool) -> None:
    """Measure a run's kept weights on a split."""
    values = values_of(changes)
    opened = open_run(run)
    with results_apart():
        metrics = opened.evaluate(split, name, views, values)
    answer({"run": str(opened.path), "split": split, "metrics": metrics}, as_json)


@cli.command()
@click.argument("run")
@click.argument("files", nargs=-1, metavar="[FILE]...")
@click.option("--endpoint", metavar="NAME", help="What is asked.  [default: the task's first endpoint]")
@click.option("--with", "given", metavar="NAME=VALUE", multiple=True, help="An input of all rows; @FILE.npy an array.")
@click.option("--rows", metavar="FILE.jsonl", help="A row of inputs by name in each line.")
@click.option("--to", metavar="DIR", help="Write every output as a file there.")
@number("--top", 5, "How many classes to name.")
@as_json
def predict(
    run: str,
    files: tuple[str, ...],
    endpoint: str | None,
    given: tuple[str, ...],
    rows: str | None,
    to: str | None,
    top: int,
    as_json: bool,
) -> None:
    """Ask a run about files, or about other inputs by name."""
    values = inputs_of(given)
    with results_apart():
        answers = open_run(run).predict(files, top, endpoint, values, rows, to)
    print(in_json(answers, 2) if as_json else "\n".join(map(_in_words, answers)))
    if answers and not any(one["valid"] for one in answers):
        raise SystemExit(BROKE)


def inputs_of(texts: tuple[str, ...]) -> dict[str, Any]:
    """The inputs that texts such as `NAME=VALUE` say, as they are written: the endpoint knows what they are."""
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        where = f"--with {text}"
        if not equals or not name:
            raise SpecError("write it as NAME=VALUE", where=where)
        if name in found:
            raise SpecError(f"the input {name} is given twice", where=where)
        found[name] = value
    return found


@cli.command()
@click.argument("run")
@click.option("--to", "directory", metavar="DIR", help="Where the versions stand.  [default: RUN/export]")
@as_json
def export(run: str, directory: str | None, as_json: bool) -> None:
    """Write a SavedModel for TensorFlow Serving.

    It is compared with predict before it gets its name, the next version below DIR.
    """
    opened = open_run(run)
    with results_apart():
        path = opened.export(directory)
    print(in_json({"run": str(opened.path), "export": str(path)}, 2) if as_json else path)


@cli.command()
@click.argument("kind", required=False)
@click.argument("name", required=False)
@as_json
def components(kind: str | None, name: str | None, as_json: bool) -> None:
    """List what a spec can be written with.

    With a KIND (architecture, loss, ...): its components and their parameters. With a NAME too: that one whole.
    """
    from kplug.spec.listing import components_listing

    print(components_listing(host().registry, kind, as_json, name))


@cli.command()
@as_json
def plugins(as_json: bool) -> None:
    """List the installed plugins, and those that were set aside."""
    from kplug.spec.listing import plugins_listing

    print(plugins_listing(host(), as_json))


@cli.command()
def schema() -> None:
    """Print the JSON Schema of a spec, for editors."""
    from kplug.spec.schema import schema as make_schema

    print(in_json(make_schema(host().registry), 1))


def answer(result: dict[str, Any], as_json: bool) -> None:
    """Print a run's directory and its metrics."""
    metrics = with_nan(result["metrics"]).items()
    lines = [f"run: {result['run']}", *(f"{name}: {value:.5g}" for name, value in metrics)]
    print(in_json(result, 2) if as_json else "\n".join(lines))


def _in_words(found: dict[str, Any]) -> str:
    """The answer to one row, in a line."""
    said = f"{found['file']}: " if "file" in found else ""
    if not found["valid"]:
        return f"{said}{found['reason']}"
    if "top" in found:
        return said + "  ".join(f"{name} {score:.3f}" for name, score in found["top"])
    return said + in_json({key: value for key, value in found.items() if key not in ("file", "valid")})


def complain(error: BaseException) -> None:
    """Print an error and its notes to stderr."""
    log("\n".join([str(error), *getattr(error, "__notes__", ())]))


def main() -> NoReturn:
    """Run the command line, and leave with the exit code that says how it went."""
    open_streams()
    for number in heard():
        signal.signal(number, _terminate)
    try:
        host().add_commands(cli)
        code = cli.main(prog_name="kplug", standalone_mode=False)
    except (SpecError, PluginError, PluginFailed, BlownUp, SearchStopped) as error:
        complain(error)
        code = error.exit_code
    except click.ClickException as error:
        error.show()
        code = INPUT_IS_WRONG
    except (KeyboardInterrupt, click.Abort) as stop:
        log("\n".join(["\nstopped by Ctrl-C; what the run holds so far is kept", *getattr(stop, "__notes__", ())]))
        code = INTERRUPTED
    except WorkerLost as error:
        log(f"{error}; start all workers again to go on from the last checkpoint")
        code = error.exit_code
    except Terminated as error:
        log("\nterminated; what the run holds so far is kept")
        code = error.exit_code
    if problem := lost_results():
        log(f"the results could not be written to stdout: {problem.strerror}")
        code = code or 1
    sys.exit(code if isinstance(code, int) else 0)


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise Terminated


if __name__ == "__main__":
    main()
