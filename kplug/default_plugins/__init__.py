"""The built-in plugins: ordinary ones, found by this list instead of an entry point."""

PLUGINS = [
    "classification",
    "features",
    "networks",
    "images",
    "in_pictures",
    "sources",
    "training.samplers",
    "training.schedules",
    "training.strategies",
    "training.callbacks",
    "training.reports",
    "keras_components",
    "bench",
    "runs",
    "launch",
    "search.oracles",
    "search.pruners",
    "search.executors",
    "search.command",
    "search.reports",
]
