"""The built-in plugins: ordinary ones, found by this list instead of an entry point."""

PLUGINS = [
    "classification",
    "architectures",
    "trained_parts",
    "sources",
    "samplers",
    "schedules",
    "strategies",
    "training_callbacks",
    "keras_components",
    "reports",
    "augment_policies",
    "benchmarking",
    "oracles",
    "pruners",
    "executors",
    "searching",
    "search_reports",
]
