"""Discovery: names, commands, and what the environment chooses, with real distributions in processes of their own."""

import json

import pytest


def test_a_good_plugin_takes_part(site, good):
    site.install("kplug-faded", good)
    assert site.plugins() == ({"kplug_faded": None}, "")
    listed = json.loads(site.kplug("components", "loss", "--json").stdout)
    (faded,) = [c for c in listed if c["name"] == "faded"]
    assert (faded["distribution"], faded["version"]) == ("kplug-faded", "1.0")
    assert faded["parameters"][0] == {
        "name": "gamma",
        "kind": None,
        "takes": "a number >= 0",
        "documentation": "how strongly they fade.",
        "default": 2.0,
    }
    assert "kplug-faded 1.0 (kplug_faded): 1 components" in site.kplug("plugins").stdout
    assert "loss.faded" in site.kplug("schema").stdout
    assert site.check("{type: faded, gamma: 1.5}").returncode == 0
    assert site.check("kplug-faded/faded").returncode == 0
    wrong = site.check("{type: faded, gamma: -1}")
    assert (wrong.returncode, wrong.stderr.split(": ", 1)[1]) == (2, "task.loss.gamma: -1 is less than 0\n")


# --- names -----------------------------------------------------------------------------------------------------------


def test_two_strangers_with_one_name(site, good):
    site.install("kplug-one", good)
    site.install("kplug-two", good, version="2.5")
    assert site.plugins() == ({"kplug_one": None, "kplug_two": None}, "")
    done = site.check("faded")
    assert done.returncode == 2
    assert done.stderr.split(": ", 1)[1] == (
        "task.loss: 2 plugins have a loss named 'faded'; write 'kplug-one/faded' (kplug-one 1.0) or "
        "'kplug-two/faded' (kplug-two 2.5)\n"
    )
    assert site.check("kplug-one/faded").returncode == site.check("{type: kplug-two/faded, gamma: 1}").returncode == 0
    names = site.kplug("components").stdout
    assert "kplug-one/faded, kplug-two/faded" in names
    schema = json.loads(site.kplug("schema").stdout)["definitions"]
    assert {"loss.kplug-one/faded", "loss.kplug-two/faded"} <= set(schema)
    assert "loss.faded" not in schema


def test_a_built_in_name_stays_the_built_in(site, good):
    site.install("kplug-dice", good.replace("faded", "dice"))
    assert site.plugins() == ({"kplug_dice": None}, "")
    done = site.check("{type: dice, gamma: 1.5}")
    assert "unknown parameter ('dice' takes" in done.stderr
    assert site.check("{type: kplug-dice/dice, gamma: 1.5}").returncode == 0
    assert "kplug-dice/dice" in site.kplug("components", "loss").stdout, "it can be found"


def test_two_entry_points_with_one_name(site, good):
    site.install("twice", good, entries=["same = twice", "same = twice_more"])
    (site.folder / "twice_more.py").write_text(good.replace("faded", "paled"))
    done = site.kplug("plugins", "--json")
    strangers = [p["problem"] for p in json.loads(done.stdout) if p["distribution"] == "twice"]
    assert sorted(strangers, key=str) == [None, "another entry point of its distribution has the same name"]
    assert len(done.stderr.splitlines()) == 1


def test_two_entry_points_of_one_distribution(site, good):
    site.install("twins", good, entries=["first = twins", "second = twins_more"])
    (site.folder / "twins_more.py").write_text(good.replace("faded", "paled"))
    assert site.plugins() == ({"first": None, "second": None}, "")
    out = site.kplug("plugins").stdout
    assert "twins 1.0 (first): 1 components" in out
    assert "twins 1.0 (second): 1 components" in out


def test_a_distribution_is_known_by_its_normal_name(site, good):
    site.install("Kplug_Faded.Loss", good, module="faded_loss")
    assert site.check("kplug-faded-loss/faded").returncode == 0
    assert site.plugins(KPLUG_PLUGINS="kplug.faded_loss") == ({"faded_loss": None}, "")


# --- what a plugin does beside ---------------------------------------------------------------------------------------


def test_what_a_plugin_prints_is_not_among_the_results(site, good):
    talk = "print('hello')\n" + good.replace("return [", "print('again')\n    return [")
    site.install("kplug-faded", talk)
    done = site.kplug("plugins", "--json")
    assert json.loads(done.stdout)
    assert done.stderr == "hello\nagain\n"


def test_commands(site):
    code = """
        import click
        from kplug import hookimpl

        @hookimpl
        def commands(cli):
            @cli.command()
            def greet():
                "Say hello."
                print("hello")
        """
    site.install("kplug-greet", code)
    assert site.kplug("greet").stdout == "hello\n"
    assert "greet" in site.kplug("--help").stdout


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("raise RuntimeError('no')", "RuntimeError: no"),
        ("import keras", "ImportError: it imports keras before"),
        ("sys.exit(1)", "SystemExit: 1"),
        ("cli.add_command(click.Command('check'))", "the command 'check' is taken"),
    ],
)
def test_commands_that_fail_are_left_out(site, body, problem):
    code = f"""
        import click
        import sys
        from kplug import hookimpl

        @hookimpl
        def commands(cli):
            cli.add_command(click.Command("greet"))
            {body}
        """
    site.install("kplug-greet", code)
    done = site.kplug("check", "specs/digits.yaml")
    assert (done.returncode, done.stdout) == (0, "specs/digits.yaml: good\n")
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(f"kplug: plugin kplug-greet 1.0 (kplug_greet) adds no commands: {problem}")
    assert "greet" not in site.kplug("--help").stdout
    strict = site.kplug("plugins", KPLUG_STRICT_PLUGINS="1")
    assert (strict.returncode, strict.stdout) == (2, "")
    assert problem in strict.stderr


# --- the environment -------------------------------------------------------------------------------------------------


@pytest.fixture
def three(site, good):
    site.install("kplug-one", good)
    site.install("kplug-two", good.replace("faded", "paled"))
    site.install("kplug-broken", "1 / 0")
    return site


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, {"kplug_one", "kplug_two", "kplug_broken"}),
        ({"KPLUG_PLUGINS": ""}, set()),
        ({"KPLUG_PLUGINS": " "}, set()),
        ({"KPLUG_PLUGINS": ","}, set()),
        ({"KPLUG_PLUGINS": "kplug-two"}, {"kplug_two"}),
        ({"KPLUG_PLUGINS": "KPLUG_two, kplug.one"}, {"kplug_one", "kplug_two"}),
        ({"KPLUG_DISABLE_PLUGINS": "kplug-broken,OWN"}, {"kplug_one", "kplug_two"}),
        ({"KPLUG_PLUGINS": "kplug-one,kplug-two", "KPLUG_DISABLE_PLUGINS": "kplug_one"}, {"kplug_two"}),
    ],
)
def test_the_environment_chooses(three, environment, expected):
    problems, err = three.plugins(**{key: value.replace("OWN", three.own) for key, value in environment.items()})
    assert set(problems) == expected
    assert len(err.splitlines()) == ("kplug_broken" in expected)


def test_an_allowed_plugin_that_is_not_installed(three):
    problems, err = three.plugins(KPLUG_PLUGINS="kplug-too")
    assert problems == {}
    assert err == "kplug: KPLUG_PLUGINS names 'kplug-too', which is not installed; did you mean 'kplug-two'?\n"


def test_strict(three):
    done = three.kplug("check", "specs/digits.yaml", KPLUG_STRICT_PLUGINS="1")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "plugin kplug-broken 1.0 (kplug_broken) cannot be loaded: ZeroDivisionError: division by zero\n"
    )
    assert three.kplug("check", "specs/digits.yaml", KPLUG_STRICT_PLUGINS="0").returncode == 0
    good = three.kplug("check", "specs/digits.yaml", KPLUG_STRICT_PLUGINS="1", KPLUG_PLUGINS="kplug-one")
    assert (good.returncode, good.stderr) == (0, "")
