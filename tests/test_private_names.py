"""Private names of Keras and TensorFlow stand in one module, where each has its reason."""

import ast
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PLACES = {  # the modules that may use private names of others
    "kplug/model/patches.py",
    "kplug/default_plugins/search/keras_tuner_oracles.py",
    # Keras Tuner's oracles are driven from here too, until they have one adapter
    "kplug/tuning/oracle_space.py",
    "kplug/tuning/study.py",
    "kplug/contracts/search.py",
}
FILES = sorted([*(ROOT / "kplug").rglob("*.py"), *(ROOT / "plugins").glob("*/kplug_*/**/*.py")])
DOCUMENTED = {("os", "_exit")}  # public in spite of its name


def is_private(name):
    return name.startswith("_") and not name.startswith("__")


def own_names(tree):
    """The private names that a module makes itself: functions, methods, attributes of `self`, variables, fields."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name, ctx=ast.Store()):
                yield name
            case ast.Name(id=name, ctx=ast.Store()):
                yield name


def used_names(tree):
    """(line, what) of every private name that is read from an object, or is below a library's private modules."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id=owner), attr=name) if (owner, name) in DOCUMENTED:
                pass
            case ast.Attribute(attr=name) if is_private(name):
                yield node.lineno, name
            case ast.Call(func=ast.Name(id="getattr" | "hasattr" | "setattr"), args=[_, ast.Constant(value=name), *_]):
                if is_private(name):
                    yield node.lineno, name
            case ast.ImportFrom(module=module, names=names):
                yield from ((node.lineno, alias.name) for alias in names if is_private(alias.name))
                if f"{module}.".startswith(("keras.src.", "tensorflow.python.")):
                    yield node.lineno, module
            case ast.Import(names=names):
                inner = [a.name for a in names if f"{a.name}.".startswith(("keras.src.", "tensorflow.python."))]
                yield from ((node.lineno, name) for name in inner)
            case ast.Attribute() if ast.unparse(node) in ("keras.src", "tf.python", "tensorflow.python"):
                yield node.lineno, ast.unparse(node)


def overridden(tree):
    """(line, what) of private methods and attributes that a class takes over from a class of Keras, knowing or not."""
    for node in ast.walk(tree):
        for base in map(ast.unparse, node.bases if isinstance(node, ast.ClassDef) else ()):
            if base.startswith("keras."):
                module, _, name = base.rpartition(".")
                theirs = dir(getattr(importlib.import_module(module), name))
                mine = filter(is_private, own_names(node))
                yield from ((node.lineno, f"{base}.{inner}") for inner in mine if inner in theirs)


def private_uses(text):
    tree = ast.parse(text)
    mine = set(own_names(tree))
    return [f"{line}: {name}" for line, name in used_names(tree) if name not in mine] + [
        f"{line}: {name}" for line, name in overridden(tree)
    ]


def test_private_names_of_others_are_in_one_place():
    paths = [path for path in FILES if str(path.relative_to(ROOT)) not in PLACES]
    found = [f"{path.relative_to(ROOT)}:{use}" for path in paths for use in private_uses(path.read_text())]
    assert len(paths) > 100 and found == []


def test_the_places_exist_and_need_it():
    for place in PLACES:
        assert private_uses((ROOT / place).read_text()), place


@pytest.mark.parametrize(
    "text",
    [
        "for layer in model._flatten_layers(): pass",
        "getattr(optimizer, '_learning_rate', None)",
        "from keras.src.utils import naming",
        "import tensorflow.python.client",
        "from kplug.spec.tree import _walk",
        "self._layers",
        "keras.src.utils",
        "class A(keras.callbacks.ReduceLROnPlateau):\n    def _reset(self): pass",
    ],
)
def test_a_private_name_is_seen(text):
    assert private_uses(text)


@pytest.mark.parametrize(
    "text",
    [
        "class A:\n    def _mine(self): pass\nA()._mine()",
        "__version__",
        "os._exit(1)",
        "self._x = 1\nother._x",
        "_f = 1\n_f()",
    ],
)
def test_ones_own_are_fine(text):
    assert private_uses(text) == []
