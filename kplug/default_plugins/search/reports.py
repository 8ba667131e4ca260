"""What a search shows: pictures of its trials, what each path explains, and TensorBoard's table of them."""

from kplug import hookimpl


@hookimpl
def searched(search):
    from kplug.default_plugins.search.report_files import write_reports

    write_reports(search)
