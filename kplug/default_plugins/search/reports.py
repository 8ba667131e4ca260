"""The reports of a search: pictures of its trials, what each path explains, and TensorBoard's table of them."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from kplug import hookimpl
from kplug.console import log
from kplug.inference.figures import pictures
from kplug.storage.files import in_json, write, writing_folder

if TYPE_CHECKING:
    from kplug.tuning.search import Search


@hookimpl
def searched(search: Search) -> None:
    write_reports(search)


def write_reports(search: Search) -> None:
    """Write every report; one that cannot be written costs a line, not the end of the search."""
    for report in (write_pictures, write_importance, write_tensorboard):
        try:
            report(search)
        except Exception as error:
            what = report.__name__.removeprefix("write_")
            log(f"{search.path}: its {what} could not be written: {type(error).__name__}: {error}")


def write_pictures(search: Search) -> None:
    """Write plots/history.png, plots/parallel.png and, of several objectives, plots/front.png."""
    from kplug.default_plugins.search.parallel_coordinates import draw_parallel
    from kplug.default_plugins.search.pictures import draw_front, draw_history

    drawn = {"history": draw_history, "parallel": draw_parallel, "front": draw_front}
    made = pictures({f"plots/{name}.png": functools.partial(draw, search.study) for name, draw in drawn.items()})
    for name, picture in made.items():
        write(search.path / name, picture)


def write_importance(search: Search) -> None:
    """Write importance.json, and plots/importance.png where it is known."""
    from kplug.default_plugins.search.importance import importance
    from kplug.default_plugins.search.pictures import draw_importance

    found = importance(search.study)
    write(search.path / "importance.json", in_json(found, indent=2) + "\n")
    picture = search.path / "plots" / "importance.png"
    if "reason" in found:
        picture.unlink(missing_ok=True)
    else:
        name = "plots/importance.png"
        for drawn in pictures({name: lambda: draw_importance(found, search.study)}).values():
            write(picture, drawn)


def write_tensorboard(search: Search) -> None:
    """Write tensorboard/, with a session for each trial that counts, in the place of what is there."""
    from kplug.default_plugins.search.hparams import write_sessions

    final = search.path / "tensorboard"
    new, old = final.with_name(".tensorboard.new"), final.with_name(".tensorboard.old")
    with writing_folder(final, new, old):
        write_sessions(search.study, new)
