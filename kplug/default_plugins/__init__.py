"""The built-in plugins: ordinary ones, found by this list instead of an entry point."""

PLUGINS = [
    "classification",
    "architectures",
    "sources",
    "samplers",
    "schedules",
    "training_callbacks",
    "keras_components",
    "reports",
    "augment_policies",
]
