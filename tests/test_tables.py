"""Tables of samplers: columns that join a batch, blocks that stay together, and the marks that a check compares."""

import numpy as np
import pytest

import kplug
from kplug.data.splits import open_data
from kplug.data.tables import ALL, BatchSlices, order_of
from kplug.kinds import Columns, Count, Learner, Table, gives, needs
from kplug.spec.component import BadComponent, read_component
from kplug.testing import check, plugged
from kplug.training.workers import refuse_uneven

WAY, SHOT = 3, 2
LEARNER = Learner(None, lambda batch, seed, training: (batch, seed))


@gives("episode", "role")
def episodes(columns: Columns, batches: Count = 4, in_batch: Count = 2) -> kplug.Sampler:
    """Episodes of 3 classes with 2 examples each: the first of a class teaches, the second asks.

    Args:
        batches: in an epoch.
        in_batch: episodes in a batch.
    """
    of_class = [np.flatnonzero(columns["label"] == label) for label in range(WAY)]

    def epoch(rng):
        count = batches * in_batch
        rows = np.stack([[rng.choice(rows, SHOT, replace=False) for rows in of_class] for _ in range(count)])
        table = rows.reshape(batches, -1)
        episode = np.repeat(np.arange(count), WAY * SHOT).reshape(table.shape)
        role = np.tile(np.arange(SHOT), count * WAY).reshape(table.shape).astype("float32")
        return Table(table, {"episode": episode, "role": role}, WAY * SHOT)

    return epoch


@needs("role", "{label}")
@gives("embedding")
def embedding(data: kplug.DataInfo, label: kplug.LabelName = "label") -> kplug.Task:
    """Go by roles.

    Args:
        label: the field of classes.
    """
    raise NotImplementedError


SPEC = """
name: tables
task: TASK
data:
  source: digits
  sampler: SAMPLER
  evaluate_with: {type: episodes, batches: 3}
"""


def spec(sampler="episodes", task="{type: classification, model: flatten}"):
    return kplug.loads(SPEC.replace("SAMPLER", sampler).replace("TASK", task), "t.yaml")


@pytest.fixture(autouse=True, scope="module")
def _plugin():
    with plugged(episodes, embedding):
        yield


def test_the_contract():
    check(episodes)
    with pytest.raises(AssertionError, match="gives the columns that its mark @gives names, nothing; received column"):
        check(unmarked)


def unmarked(columns: Columns) -> kplug.Sampler:
    """Give a column that no mark names."""
    return lambda rng: Table(np.zeros((2, 4), np.int64), {"column": np.zeros((2, 4))})


def arrays(dataset):
    return [{name: values.numpy() for name, values in batch.items()} for batch, _ in dataset]


def test_columns_join_every_batch_of_training_and_go_on_in_the_middle():
    data = open_data(spec())
    assert (data.steps, data.batch_size, data.block) == (4, 12, 6)
    batches = arrays(data.training(LEARNER, 2))
    for number, batch in enumerate(batches):
        first = number % 4 * 2
        assert batch["episode"].tolist() == [first] * 6 + [first + 1] * 6 and batch["role"].dtype == np.float32
        assert batch["role"].tolist() == [0, 1] * 6 and batch["label"].tolist() == [0, 0, 1, 1, 2, 2] * 2
    for one, other in zip(batches[3:], arrays(data.training(LEARNER, 2, first_step=3)), strict=True):
        for name, values in one.items():
            np.testing.assert_array_equal(values, other[name])


def test_slices_hold_whole_blocks():
    data = open_data(spec())
    whole = arrays(data.training(LEARNER, 1))
    for replica in range(2):
        mine = arrays(data.training(LEARNER, 1, shares=BatchSlices(range(replica, replica + 1), 2)))
        for batch, part in zip(whole, mine, strict=True):
            for name in ("episode", "role", "label"):
                np.testing.assert_array_equal(batch[name].reshape(2, 6)[replica], part[name])


def test_an_evaluation_is_dealt_in_whole_blocks():
    data = open_data(spec())
    everything = []
    for replica in range(4):  # 6 episodes for 4 replicas
        shares = BatchSlices(range(replica, replica + 1), 4)
        batches = list(data.examples("test", shares))
        assert len(batches) == data.evaluation_steps("test", shares)
        for batch in batches:
            for episode in np.unique(batch["episode"]):
                assert (
                    np.bincount(batch["label"].numpy()[batch["episode"] == episode], minlength=3)[:3].tolist()
                    == [2] * 3
                )
        everything += [values for batch in batches for values in batch["episode"].numpy().tolist()]
    assert sorted(everything) == sorted([n for n in range(6) for _ in range(6)])
    with pytest.raises(kplug.SpecError, match="6 blocks of 6 examples of test cannot be shared by 7 replicas"):
        data.order("test", BatchSlices(range(1), 7))


def test_without_blocks_examples_are_dealt_as_before():
    rows = np.r_[np.arange(23), [-1]].reshape(4, 6)
    for count in (2, 3, 4):
        for replica in range(count):
            found = order_of(Table(rows), "test", BatchSlices(range(replica, replica + 1), count))
            steps = min(4, 23 // count)
            wanted = np.array_split(np.array_split(np.arange(23), count)[replica], steps)
            assert (
                found.sizes == [len(part) for part in wanted] and found.rows.tolist() == np.concatenate(wanted).tolist()
            )
    assert order_of(Table(rows), "test", ALL).sizes == [6, 6, 6, 5]


def test_a_batch_is_a_multiple_of_replicas_and_block():
    class Three:
        replicas = 3

    with pytest.raises(
        kplug.SpecError, match="a batch of 4 blocks of 5 examples cannot be shared evenly by 3 replicas; 3 or 6"
    ):
        refuse_uneven(Three(), spec(), 20, 5)
    refuse_uneven(Three(), spec(), 30, 5)


@pytest.mark.parametrize(
    ("drawn", "said"),
    [
        (Table(np.zeros((2, 4), np.int64), {"a": np.zeros((2, 3))}), r"a number for each place of a batch, \(2, 4\)"),
        (Table(np.zeros((2, 4), np.int64), {"a": np.full((2, 4), "x")}), "received <U1"),
        (Table(np.zeros((2, 4), np.int64)), "its mark @gives names, a; received nothing"),
        (Table(np.zeros((2, 4), np.int64), {"a": np.zeros((2, 4))}, 3), "whole blocks of 3 examples; received 8 in"),
        (Table(np.array([[0, 1, 2, -1]]), {"a": np.zeros((1, 4))}, 2), "whole blocks of 2 examples; received 3 in"),
        (np.zeros((2, 4)), r"must give int64 \[steps, batch\]"),
    ],
)
def test_a_table_that_is_none(drawn, said):
    def odd(columns: Columns) -> kplug.Sampler:
        """Give what it is told."""
        return lambda rng: drawn

    with plugged(episodes, gives("a")(odd)), pytest.raises(TypeError, match=said):
        _ = open_data(spec("odd")).steps


def test_another_form_in_a_later_epoch_is_an_error():
    def fickle(columns: Columns) -> kplug.Sampler:
        """Give another dtype in every epoch."""
        counted = iter(range(9))
        return lambda rng: Table(
            np.zeros((2, 4), np.int64), {"a": np.zeros((2, 4), f"float{16 * 2 ** (next(counted) % 3)}")}
        )

    with plugged(episodes, gives("a")(fickle)):
        data = open_data(spec("fickle"))
        assert data.steps == 2
        with pytest.raises(Exception, match=r"columns .* in epoch 0"):
            list(data.training(LEARNER, 2))


def test_a_column_with_the_name_of_a_field_is_refused():
    def relabelled(columns: Columns) -> kplug.Sampler:
        """Give a label of its own."""
        return lambda rng: Table(np.zeros((2, 4), np.int64), {"label": np.zeros((2, 4))})

    said = r"t.yaml:6:12: data.sampler: the sampler gives label, and so does the source"
    with plugged(episodes, gives("label")(relabelled)), pytest.raises(kplug.SpecError, match=said):
        _ = open_data(spec("relabelled")).steps


# --- marks -----------------------------------------------------------------------------------------------------------


@needs("maps")
def maps_report() -> kplug.Evaluator:
    """Look at maps."""
    raise NotImplementedError


def refused(text):
    with pytest.raises(kplug.SpecError) as caught:
        kplug.loads(text, "t.yaml")
    return str(caught.value)


def test_a_sampler_that_lacks_what_the_task_needs_is_refused_at_check():
    spec("episodes", "embedding")
    said = refused(SPEC.replace("TASK", "embedding").replace("SAMPLER", "{type: shuffled, batch_size: 6}"))
    what = "task 'embedding' needs 'role', which neither the source nor sampler 'shuffled' gives (it gives: nothing)"
    assert said == f"t.yaml:6:12: data.sampler: {what}"
    text = SPEC.replace("TASK", "{type: embedding, label: lable}").replace("SAMPLER", "episodes")
    said = refused(text.replace("{type: episodes, batches: 3}", "sequential"))
    assert "t.yaml:7:18: data.evaluate_with: task 'embedding' needs 'role', which" in said
    assert "data.sampler: task 'embedding' needs 'lable', which neither" in said


def test_a_field_of_the_source_serves_as_well_as_a_sampler(tmp_path):
    (tmp_path / "t.csv").write_text("x,label,role\n" + "".join(f"{n},{'ab'[n % 2]},{n % 3}\n" for n in range(40)))
    text = SPEC.replace("TASK", "embedding").replace("{type: episodes, batches: 3}", "sequential")
    text = text.replace("SAMPLER", "{type: shuffled, batch_size: 4}")
    kplug.loads(text.replace("digits", f"{{type: table, path: {tmp_path}/t.csv, image: null}}"))


def test_a_source_that_tells_nothing_is_asked_when_it_is_opened(tmp_path):
    def silent() -> kplug.Source:
        """Digits, of which nothing is known unopened."""
        from kplug.default_plugins.sources import digits

        return digits()

    text = SPEC.replace("TASK", "embedding").replace("SAMPLER", "{type: shuffled, batch_size: 6}")
    with plugged(episodes, embedding, silent):
        found = kplug.loads(text.replace("digits", "silent"), "t.yaml")
        with pytest.raises(kplug.SpecError, match=r"t.yaml:6:12: data.sampler: task 'embedding' needs 'role'"):
            open_data(found)


def test_an_evaluator_without_its_output_is_refused_at_check():
    with plugged(episodes, maps_report):
        said = refused(
            SPEC.replace("TASK", "{type: classification, model: flatten}").replace("SAMPLER", "episodes")
            + "evaluators: [maps_report]\n"
        )
        what = "it looks at 'maps', which task 'classification' does not answer (outputs: probabilities, classes)"
        assert said == f"t.yaml:8:14: evaluators.0: {what}"
    text = SPEC.replace("TASK", "embedding").replace("SAMPLER", "episodes")
    said = refused(text + "evaluators: [{type: classification_report}]\n")
    assert "it looks at 'probabilities', which task 'embedding' does not answer (outputs: embedding)" in said


def test_a_mark_on_another_kind_is_a_bad_component():
    def loss() -> kplug.Loss:
        """Compare."""

    with pytest.raises(BadComponent, match="loss: @gives says something of a sampler or task"):
        read_component(gives("a")(loss))
    assert read_component(embedding).gives == ("embedding",) and read_component(unmarked).gives is None
