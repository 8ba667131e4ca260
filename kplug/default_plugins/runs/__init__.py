"""The command `runs`: which runs are there, how far each is, and how good."""

from kplug import hookimpl


@hookimpl
def commands(cli):
    import click

    @cli.command()
    @click.argument("directory", default="runs", metavar="[DIR]")
    @click.option("--json", "as_json", is_flag=True, help="Answer with JSON.")
    def runs(directory, as_json):
        """List the runs below a directory.  [default: runs]

        Those that did not finish and those that cannot be read are listed too, as such.
        """
        from pathlib import Path

        from kplug.default_plugins.runs.listing import as_table, list_runs
        from kplug.storage.files import in_json

        found = list_runs(Path(directory))
        print(in_json(found, indent=2) if as_json else as_table(found) or f"no runs below {directory}")
