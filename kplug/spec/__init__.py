"""A spec and all that it says: YAML, checks, defaults, and the components that it calls. Free of TensorFlow."""

from kplug.spec.spec import Spec, load, load_kept, load_with, loads, loads_kept, settings, steps_in

__all__ = ["Spec", "load", "load_kept", "load_with", "loads", "loads_kept", "settings", "steps_in"]
