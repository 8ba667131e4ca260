"""The command `search`: try points of a spec's space, and go on with a search that was stopped."""

from kplug import hookimpl


@hookimpl
def commands(cli):
    import click

    @cli.command()
    @click.argument("spec")
    @click.option("--set", "changes", metavar="PATH=VALUE", multiple=True, help="Change the spec, value in YAML.")
    @click.option("--to", "directory", metavar="DIR", help="The search's directory.  [default: searches/NAME]")
    @click.option("--resume", is_flag=True, help="Go on with the search in that directory.")
    @click.option("--workers", type=click.IntRange(min=1), help="Trials at once: search.executor.workers.")
    @click.option("--dry-run", is_flag=True, help="Say how large the space is, and what the first trials would be.")
    @click.option("--json", "as_json", is_flag=True, help="Answer with JSON.")
    def search(spec, changes, directory, resume, workers, dry_run, as_json):
        """Search the space that a spec declares: each trial is a spec, and so is the best of them."""
        from kplug.console import load_tensorflow, results_apart
        from kplug.errors import INTERRUPTED, TERMINATED, Terminated
        from kplug.spec import load_with
        from kplug.storage.search_directory import directory_of, refuse_directory, refuse_without_search

        if workers is not None:
            changes = (*changes, f"search.executor.workers={workers}")
        checked = load_with(spec, changes)
        if dry_run:
            refuse_without_search(checked)
        else:
            refuse_directory(directory_of(checked, directory), checked.absolute(), resume)
        load_tensorflow()
        from kplug.default_plugins.search.table import answer, first_trials, watching
        from kplug.tuning.search import search as search_spec

        if dry_run:
            first_trials(checked, as_json)
            return
        try:
            with results_apart(), watching() as watch:
                found = search_spec(checked, directory, resume, watch)
        except (KeyboardInterrupt, Terminated) as stopped:
            click.echo("\nstopped; the same command with --resume goes on", err=True)
            raise click.exceptions.Exit(TERMINATED if isinstance(stopped, Terminated) else INTERRUPTED) from None
        answer(found, as_json)
