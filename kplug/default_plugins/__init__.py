"""The built-in plugins: ordinary ones, found by this list instead of an entry point."""

PLUGINS = [
    "classification",
    "architectures",
    "sources",
    "samplers",
    "schedules",
    "keras_components",
    "reports",
]
