"""The command `bench`: which way to train a spec is the fastest on this machine."""

from kplug import hookimpl


@hookimpl
def commands(cli):
    import click

    @cli.command()
    @click.argument("spec")
    @click.option("--set", "changes", metavar="PATH=VALUE", multiple=True, help="Change the spec, value in YAML.")
    @click.option("--seconds", default=90.0, show_default=True, type=click.FloatRange(min=1), help="To stop after.")
    @click.option("--json", "as_json", is_flag=True, help="Answer with JSON.")
    def bench(spec, changes, seconds, as_json):
        """Time a spec's training in several ways on this machine; nothing is kept.

        Precision, XLA and steps per execution are changed one at a time, in turn: the first line is the spec as it is.
        """
        from kplug.console import load_tensorflow, results_apart
        from kplug.spec import load_with
        from kplug.storage.files import in_json

        checked = load_with(spec, changes)
        load_tensorflow()
        from kplug.default_plugins.bench.compare import compare, report

        with results_apart():
            found = compare(checked, seconds)
        print(in_json(found, indent=2) if as_json else report(found))
