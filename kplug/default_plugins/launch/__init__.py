"""The command `launch`: several workers of one cluster on this machine."""

from kplug import hookimpl


@hookimpl
def commands(cli):
    import click

    @cli.command()
    @click.argument("workers", type=click.IntRange(min=1), metavar="N")
    @click.argument("spec")
    @click.option("--set", "changes", metavar="PATH=VALUE", multiple=True, help="Change the spec, value in YAML.")
    @click.option(
        "--run",
        metavar="DIR",
        help="The run; an unfinished one of SPEC is gone on with.  [default: the next number in runs/NAME]",
    )
    @click.option("--restarts", default=3, show_default=True, type=click.IntRange(min=0), help="When a worker is lost.")
    @click.option("--shared-network", is_flag=True, help="Leave workers in the machine's network, open to all on it.")
    @click.option("--json", "as_json", is_flag=True, help="Answer with JSON.")
    def launch(workers, spec, changes, run, restarts, shared_network, as_json):
        """Train a spec with several workers on this machine.

        Workers of TensorFlow do what whoever connects to them asks. So they get a network of their own, where the
        system allows it, with nothing but each other in it: what they would download must be there. When one is lost,
        all start again and go on. The spec is trained as `fit.strategy=multi_worker`. The first worker's words come
        through, those of the others go to DIR.worker-N.log. Exit codes are those of `kplug train`.
        """
        import contextlib
        from pathlib import Path

        from kplug.default_plugins.launch.local_cluster import LocalCluster, keep_to_themselves
        from kplug.spec import load_with
        from kplug.storage.run_directory import next_number

        changes = (*changes, "fit.strategy=multi_worker")
        checked = load_with(spec, changes)
        directory = Path(run) if run else next_number(Path("runs") / checked.name)
        if not shared_network:
            keep_to_themselves()
        words = ["train", spec, "--run", str(directory), "--go-on", *["--json"] * as_json]
        words += [word for change in changes for word in ("--set", change)]
        code = LocalCluster(workers, words, directory).train(restarts)
        with contextlib.suppress(OSError):  # where it holds something, which it does unless the workers refused
            directory.rmdir()
        raise click.exceptions.Exit(code)
