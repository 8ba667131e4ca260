"""The commands that never load TensorFlow, each in a process that cannot."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = ("tensorflow", "keras", "tensorflow_datasets", "keras_tuner", "numpy", "sklearn", "PIL", "matplotlib")
WITHOUT = f"""
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {HEAVY!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
from kplug.cli import main
main()
"""
COMMANDS = (
    ["--help"],
    ["--version"],
    ["check", "--help"],
    ["check", "specs/digits.yaml"],
    ["check", "specs/digits.yaml", "--json"],
    ["fill", "specs/digits.yaml"],
    ["fill", "specs/digits.yaml", "--set", "fit.epochs=3"],
    ["components"],
    ["components", "--json"],
    ["components", "loss"],
    ["components", "oracle", "--json"],
    ["search", "--help"],
    ["plugins"],
    ["plugins", "--json"],
    ["schema"],
)


def kplug(*arguments, **environment):
    command = [sys.executable, "-c", WITHOUT, *arguments]
    environment = {**os.environ, "KPLUG_PLUGINS": "", **environment}
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)


def answered(*arguments):
    """What a command that succeeds prints."""
    done = kplug(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_without_tensorflow(arguments):
    assert answered(*arguments)


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_with_every_installed_plugin(arguments):
    environment = {key: value for key, value in os.environ.items() if not key.startswith("KPLUG_")}
    command = [sys.executable, "-c", WITHOUT, *arguments]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_blocker_blocks():
    """Else the tests above would show nothing."""
    done = kplug("train", "specs/digits.yaml")
    assert done.returncode == 1
    assert any(f"ModuleNotFoundError: No module named '{name}'" in done.stderr for name in HEAVY)


# --- answers ---------------------------------------------------------------------------------------------------------


def test_help_lists_the_commands():
    commands = answered("--help").partition("Commands:\n")[2]
    names = [line.split()[0] for line in commands.splitlines() if line.startswith("  ") and line[2] != " "]
    own = ["check", "fill", "train", "evaluate", "predict", "export", "components", "plugins", "schema"]
    assert names == [*own, "bench", "runs", "launch", "search"]


def test_version():
    import kplug as package

    assert answered("--version").strip().endswith(package.__version__)
    done = subprocess.run([sys.executable, "-m", "kplug", "--version"], capture_output=True, text=True)
    assert done.stdout == answered("--version")


def test_check_as_json():
    assert json.loads(answered("check", "specs/digits.yaml", "--json")) == {"problems": []}
    done = kplug("check", "tests/bad/several.yaml", "specs/digits.yaml", "--json")
    problems = json.loads(done.stdout)["problems"]
    assert done.returncode == 2
    assert problems[1] == {
        "where": "tests/bad/several.yaml:2:7",
        "path": ["seed"],
        "message": "'one' is not a whole number >= 0 and < 2147483648",
    }
    assert any(p["path"] == ["task", "model", "layers", 0, "filters"] for p in problems)
    assert len(problems) == len(done.stderr.splitlines()) > 5


def test_fill_prints_a_spec_that_is_good_and_full(tmp_path):
    filled = answered("fill", "specs/digits.yaml", "--set", "fit.epochs=3", "--set", "data.augment=[random_flip]")
    path = tmp_path / "filled.yaml"
    path.write_text(filled)
    assert answered("check", str(path)) == f"{path}: good\n"
    assert answered("fill", str(path)) == filled, "filling twice is filling once"
    assert "epochs: 3" in filled
    assert "type: random_flip" in filled


def test_check_takes_changes_and_names_files_that_are_missing(tmp_path):
    spec = tmp_path / "pictures.yaml"
    spec.write_text(f"""
name: pictures
task: {{type: classification, model: {{type: layers, layers: [flatten]}}}}
data: {{source: {{type: folder, path: {tmp_path}}}, sampler: {{type: shuffled, batch_size: 8}}}}
fit: {{epochs: 1}}
""")
    done = kplug("check", spec, "--set", "fit.epochs=2")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{spec}: good\n", "")
    done = kplug("check", spec, "--set", "fit.epochs=-2")
    assert done.returncode == 2 and "--set fit.epochs=-2: fit.epochs: -2 is less than 0" in done.stderr
    (tmp_path / "photos").mkdir()
    missing = f"data.source.path={tmp_path / 'photoes'}"
    done = kplug("check", spec, "--set", missing)
    assert (done.returncode, done.stdout) == (0, f"{spec}: good\n")
    what = f"data.source.path: there is no file or folder {tmp_path / 'photoes'}; did you mean '{tmp_path / 'photos'}'?"
    assert f"--set {missing}: {what}" in done.stderr
    found = json.loads(kplug("check", spec, "--set", missing, "--json").stdout)
    assert found["problems"] == [] and [one["path"] for one in found["missing"]] == [["data", "source", "path"]]


def test_components_as_json():
    components = json.loads(answered("components", "--json"))
    assert {"kind", "name", "distribution", "version", "summary", "parameters"} == set(components[0])
    (adamw,) = [c for c in components if c["name"] == "adamw"]
    rate = next(p for p in adamw["parameters"] if p["name"] == "learning_rate")
    assert (rate["kind"], rate["takes"]) == (None, "a schedule or a number > 0")
    (classification,) = [c for c in components if c["kind"] == "task"]
    model, *_, optimizer = (p for p in classification["parameters"] if p["kind"] in ("architecture", "optimizer"))
    assert (model["name"], model["takes"], "default" in model) == ("model", "an architecture", False)
    assert optimizer["default"] == {"type": "adamw", "learning_rate": 0.001}
    assert json.loads(answered("components", "loss", "--json")) == [c for c in components if c["kind"] == "loss"]


def test_components_of_a_kind():
    text = answered("components", "optimizer")
    assert "\n      learning_rate = 0.001 (a schedule or a number > 0): " in text
    from kplug.spec.listing import components_listing
    from kplug.spec.registry import Registry

    assert components_listing(Registry(), "oracle", False) == "no oracle is installed"
    assert json.loads(components_listing(Registry(), "oracle", True)) == []


def test_plugins_as_json():
    plugins = json.loads(answered("plugins", "--json"))
    assert {p["distribution"] for p in plugins} == {"kplug"}
    assert {"name", "distribution", "version", "components", "problem"} == set(plugins[0])
    assert answered("plugins") == f"kplug (built in): {sum(p['components'] for p in plugins)} components\n"


def test_schema_is_json():
    assert json.loads(answered("schema"))["$schema"] == "http://json-schema.org/draft-07/schema#"


# --- wrong input -----------------------------------------------------------------------------------------------------

CONVOLUTION = "{type: layers, layers: [{type: conv2d, filters: 8, kernel_size: 3}]}"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Usage: kplug"),
        (("chek",), "No such command 'chek'"),
        (("chek",), "'check'"),
        (("check",), "Missing argument 'SPEC...'"),
        (("check", "--jsn", "specs/digits.yaml"), "Did you mean one of: '--json', '--set'?"),
        (("components", "--kind"), "No such option '--kind'"),
        (("components", "los"), "no kind named 'los'; did you mean 'loss'? (kinds: architecture, loss, "),
        (("components", "loss", "metric"), "no loss named 'metric'"),
        (("components", "loss", "focal", "more"), "unexpected extra argument"),
        (("fill", "specs/digit.yaml"), "no such file or directory; did you mean 'specs/digits.yaml'?"),
        (("fill", "specs/digits.yaml", "--set", "fit.epochs=-1"), "--set fit.epochs=-1: fit.epochs: -1 is less than 0"),
        (("fill", "specs/digits.yaml", "--set", "fit.epochs"), "--set fit.epochs: write it as path=value, such as"),
        (("fill", "specs/digits.yaml", "--set", "=3"), "--set =3: write it as path=value"),
        (("fill", "specs/digits.yaml", "--set", "fit.epochs=[1"), "--set fit.epochs=[1: fit.epochs: not YAML: "),
        (("fill", "specs/digits.yaml", "--set", "fit.epoch=1"), "--set fit.epoch=1: fit.epoch: unknown key; did you"),
        (
            ("fill", "specs/digits.yaml", "--set", "fitt.epochs=1"),
            "--set fitt.epochs=1: fitt: nothing is called 'fitt'; did you mean 'fit'? (here: ",
        ),
        (
            ("fill", "specs/digits.yaml", "--set", "data.augment=[]", "--set", "data.augment.0=random_flip"),
            "data.augment.0: there is no item '0': the list has 0, numbered from 0",
        ),
        (
            ("fill", "specs/digits.yaml", "--set", "fit.epochs=12", "--set", "fit.epochs.x=1"),
            "fit.epochs.x: fit.epochs is 12, which has nothing inside",
        ),
        (
            (
                "fill",
                "specs/digits.yaml",
                "--set",
                f"task.model={CONVOLUTION}",
                "--set",
                "task.model.layers.0.filters=0",
            ),
            "--set task.model.layers.0.filters=0: task.model.layers.0.filters: 0 is less than 1",
        ),
        (("train", "specs/digits.yaml", "--set", "fit.epochs=many"), "'many' is not a whole number >= 0"),
    ],
)
def test_wrong_input_is_2(arguments, said):
    done = kplug(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="pipes of a POSIX shell")
@pytest.mark.parametrize("arguments", ["components", "schema", "components architecture", "--help", "plugins --json"])
def test_a_reader_that_leaves_early(arguments):
    line = f'"$0" -m kplug.cli {arguments} | head -1; echo "${{PIPESTATUS[0]}}"'
    done = subprocess.run(["bash", "-c", line, sys.executable], cwd=ROOT, capture_output=True, text=True)
    first, code = done.stdout.splitlines()
    assert first
    assert (code, done.stderr) == ("0", "")


def test_a_reader_that_has_left():
    """Nothing is read at all."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "kplug.cli", "schema"]
    done = subprocess.run(command, cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")
