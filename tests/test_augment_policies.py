"""rand_augment, trivial_augment and aug_mix: operations as Pillow's, choices and strengths as in the papers."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance, ImageOps
from scipy import stats

import kplug
from kplug.default_plugins.images import aug_mix, operations, policies, rand_augment, trivial_augment
from kplug.default_plugins.images.operations import Operation, Outside
from kplug.testing import check, no_tensorflow, tiny_info

POLICIES = (rand_augment, trivial_augment, aug_mix)
DATA = tiny_info()
MADE = (lambda: rand_augment(DATA), lambda: trivial_augment(DATA), aug_mix)
SEED = tf.constant([3, 14], tf.int32)
UNLIKELY = 1e-4  # the seed is fixed: a right sampler that falls below would do so for ever, and never by chance
ENHANCEMENTS = ("color", "contrast", "brightness", "sharpness")
AFFINE = {
    "shear_x": lambda v: (1, v, 0, 0, 1, 0),
    "shear_y": lambda v: (1, 0, 0, v, 1, 0),
    "translate_x": lambda v: (1, 0, v, 0, 1, 0),
    "translate_y": lambda v: (1, 0, 0, 0, 1, v),
}


def picture(size=(17, 24), channels=3, values=(0, 256), seed=0):
    return np.random.default_rng(seed).integers(*values, (*size, channels), dtype=np.uint8)


PICTURES = {
    "color": picture(),
    "gray": picture(channels=1),
    "pale": picture(values=(90, 140)),
    "plain": picture(values=(77, 78)),
    "tiny": picture((2, 5)),
    "large": picture((96, 80)),
}


def with_pillow(name, image, amount=None, fill=0, interpolation=Image.Resampling.NEAREST):
    """An operation on one picture as the papers' authors computed it."""
    source = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    outside = {"resample": interpolation, "fillcolor": (fill,) * image.shape[-1] if image.shape[-1] > 1 else fill}
    if name in ("identity", "auto_contrast", "equalize"):
        table = {"identity": Image.Image.copy, "auto_contrast": ImageOps.autocontrast, "equalize": ImageOps.equalize}
        made = table[name](source)
    elif name in ("posterize", "solarize"):
        made = getattr(ImageOps, name)(source, amount)
    elif name in ENHANCEMENTS:
        made = getattr(ImageEnhance, name.title())(source).enhance(amount)
    elif name == "rotate":
        made = source.rotate(amount, **outside)
    else:
        made = source.transform(source.size, Image.Transform.AFFINE, AFFINE[name](amount), **outside)
    return np.asarray(made).reshape(image.shape)


# --- operations against Pillow -------------------------------------------------------------------------------------


@pytest.mark.parametrize("image", PICTURES.values(), ids=PICTURES)
def test_operations_on_values_equal_pillow(image):
    for name in ("auto_contrast", "equalize"):
        assert np.array_equal(getattr(operations, name)(tf.constant(image)), with_pillow(name, image)), name
    for bits in range(1, 9):
        assert np.array_equal(operations.posterize(image, bits), with_pillow("posterize", image, bits)), bits
    assert not np.any(operations.posterize(image, 0))
    for threshold in (0, 1, 100, 255, 256):
        ours = operations.solarize(image, tf.constant(threshold))
        assert np.array_equal(ours, with_pillow("solarize", image, threshold)), threshold


@pytest.mark.parametrize("name", ENHANCEMENTS)
@pytest.mark.parametrize("image", PICTURES.values(), ids=PICTURES)
def test_enhancements_equal_pillow(name, image):
    for factor in (0.0, 0.01, 0.1, 0.37, 1.0, 1.3, 1.9, 2.0):
        ours = getattr(operations, name)(tf.constant(image), np.float32(factor)).numpy().astype(int)
        assert np.abs(ours - with_pillow(name, image, factor)).max() <= 1, factor


@pytest.mark.parametrize("fill", [0, 128])
@pytest.mark.parametrize("image", PICTURES.values(), ids=PICTURES)
def test_nearest_moves_equal_pillow(image, fill):
    outside = Outside(fill, "nearest")
    for by, amounts in {"shear": (0.1, -0.27, 0.99), "translate": (3.0, -4.0, 32.0)}.items():
        for name in (f"{by}_x", f"{by}_y"):
            for amount in amounts:
                ours = operations.move(tf.constant(image), amount, name, outside)
                assert np.array_equal(ours, with_pillow(name, image, amount, fill)), (name, amount)
    for degrees in (0, 3.3, 27, -30, 101):  # a point halfway between two pixels may go to either
        differs = operations.rotate(tf.constant(image), degrees, outside) != with_pillow("rotate", image, degrees, fill)
        assert np.mean(differs) <= 0.002, degrees


@pytest.mark.parametrize("channels", [1, 3])
def test_bilinear_moves_equal_pillow(channels):
    """Around the picture is black, since Pillow lets the border go on for half a pixel."""
    image = np.pad(picture((40, 30), channels), [(2, 2), (2, 2), (0, 0)])
    outside = Outside(0, "bilinear")
    ours = {("rotate", v): operations.rotate(tf.constant(image), v, outside) for v in (7, -30, 90.5)}
    for name, amounts in dict.fromkeys(AFFINE, (0.1, -0.27)).items():
        ours |= {(name, v): operations.move(tf.constant(image), v, name, outside) for v in amounts}
    for (name, amount), made in ours.items():
        expected = with_pillow(name, image, amount, interpolation=Image.Resampling.BILINEAR)
        assert np.abs(made.numpy().astype(int) - expected).max() <= 1, (name, amount)


# --- ranges and choices against the papers -------------------------------------------------------------------------


def rand_augment_amounts(magnitude, side):
    """RandAugment's operations, with every amount that may come at a magnitude (AutoAugment's table of ranges)."""
    share = magnitude / 10
    both = {"rotate": 30 * share, "shear_x": 0.3 * share, "shear_y": 0.3 * share}
    both |= dict.fromkeys(("translate_x", "translate_y"), int(150 / 331 * side * share))
    amounts = {name: [amount, -amount] for name, amount in both.items()}
    amounts |= {name: [1 + 0.9 * share, 1 - 0.9 * share] for name in ENHANCEMENTS}
    amounts |= {"posterize": [8 - int(4 * share)], "solarize": [256 - int(256 * share)]}
    return amounts | {name: [None] for name in ("identity", "auto_contrast", "equalize")}


def trivial_augment_amounts(step):
    """TrivialAugment's wide operations, with every amount that may come at a step of 0 to 30."""
    both = {"rotate": 135 * step / 30, "shear_x": 0.99 * step / 30, "shear_y": 0.99 * step / 30}
    both |= dict.fromkeys(("translate_x", "translate_y"), 32 * step // 30)
    amounts = {name: [amount, -amount] for name, amount in both.items()}
    amounts |= {name: [0.01 + 1.99 * step / 30] for name in ENHANCEMENTS}
    amounts |= {"posterize": [8 - 6 * step // 30], "solarize": [256 - 256 * step // 30]}
    return amounts | {name: [None] for name in ("identity", "auto_contrast", "equalize")}


def drawn(policy, image, count, batch=1000):
    """What a policy makes of `count` copies of a picture."""
    mapped = tf.data.Dataset.range(count // batch).map(
        lambda step: policy(
            {"image": tf.repeat(image[np.newaxis], batch, axis=0)}, tf.stack([9, tf.cast(step, tf.int32)])
        )
    )
    return np.concatenate([made["image"] for made in mapped.as_numpy_iterator()])


def shares_fit(images, expected, within=0.01):
    """Every picture is one of those expected, each as often as its share: the p-value.

    Args:
        images: what came.
        expected: (picture, share) of all that may come; equal ones are one.
        within: share of the pixels that may differ by more than 1, for points halfway between two pixels.
    """
    known, shares = [], []
    for candidate, share in expected:
        same = [n for n, other in enumerate(known) if differing(candidate, other) <= within]
        if same:
            shares[same[0]] += share
        else:
            known.append(candidate)
            shares.append(share)
    found, counts = np.unique(images, axis=0, return_counts=True)
    observed = np.zeros(len(known))
    for image, count in zip(found, counts, strict=True):
        distances = [differing(image, other) for other in known]
        assert min(distances) <= within, "a picture came that no operation of the paper makes"
        observed[np.argmin(distances)] += count
    assert np.isclose(sum(shares), 1)
    return stats.chisquare(observed, np.array(shares) * len(images)).pvalue


def differing(one, other):
    return np.mean(np.abs(one.astype(np.int16) - other) > 1)


@pytest.mark.parametrize("magnitude", [pytest.param(9.0, marks=pytest.mark.slow), 10.0])
def test_rand_augment_draws_its_14_operations_and_signs_evenly(magnitude):
    image = picture((21, 21), values=(40, 200), seed=1)
    amounts = rand_augment_amounts(magnitude, 21)
    assert len(amounts) == 14
    expected = [
        (with_pillow(name, image, amount, fill=128), 1 / 14 / len(several))
        for name, several in amounts.items()
        for amount in several
    ]
    images = drawn(rand_augment(DATA, operations=1, magnitude=magnitude), image, 4000)
    assert shares_fit(images, expected) > UNLIKELY


def test_rand_augment_at_magnitude_0_keeps_all_but_two_operations_out():
    image = picture((20, 20), values=(40, 200))
    expected = [(image, 12 / 14), *((with_pillow(name, image), 1 / 14) for name in ("auto_contrast", "equalize"))]
    assert shares_fit(drawn(rand_augment(DATA, operations=1, magnitude=0), image, 2000), expected, within=0) > UNLIKELY


@pytest.mark.slow
def test_trivial_augment_draws_operations_strengths_and_signs_evenly():
    image = picture((21, 21), values=(40, 200), seed=2)  # odd: no point halfway between pixels
    expected = [
        (with_pillow(name, image, amount), 1 / 31 / 14 / len(several))
        for step in range(31)
        for name, several in trivial_augment_amounts(step).items()
        for amount in several
    ]
    assert shares_fit(drawn(trivial_augment(DATA), image, 8000), expected, within=0.02) > UNLIKELY


# --- draws, seen through operations that write down what was drawn -------------------------------------------------


def recorders(count, write):
    return lambda image: {
        str(number): Operation(lambda image, amount, number=number: write(image, number, amount), lambda *both: both)
        for number in range(count)
    }


def test_each_operation_of_a_picture_is_drawn_anew():
    def write(image, number, _):
        return image * 14 + tf.cast(number, tf.uint8)

    policy = policies.draw_operations(DATA, recorders(14, write), lambda uniform: uniform, count=2)
    pairs = drawn(policy, np.zeros((1, 1, 1), np.uint8), 6000).ravel()
    counts = np.bincount(pairs, minlength=196)
    assert len(counts) == 196 and stats.chisquare(counts).pvalue > UNLIKELY


def test_choice_strength_and_sign_are_drawn_apart():
    def write(image, number, amount):
        strength, sign = amount
        cell = (number * 8 + tf.cast(strength * 8, tf.int32)) * 2 + tf.cast(sign > 0, tf.int32)
        return tf.fill(image.shape, tf.cast(cell, tf.uint8))

    policy = policies.draw_operations(DATA, recorders(14, write), lambda uniform: uniform, count=1)
    counts = np.bincount(drawn(policy, np.zeros((1, 1, 1), np.uint8), 8000).ravel(), minlength=224)
    assert len(counts) == 224 and stats.chisquare(counts).pvalue > UNLIKELY


def test_aug_mix_draws_depths_of_1_to_3_evenly_and_keeps_one_that_is_given():
    def write(image, number, _):
        return image + 2

    def depths(depth):  # alpha makes all shares even: of what a chain adds, half is left
        policy = policies.mix_chains(recorders(2, write), lambda uniform: uniform, width=1, depth=depth, alpha=1e6)
        return np.bincount(drawn(policy, np.full((1, 1, 1), 100, np.uint8), 2000).ravel() - 100, minlength=4)

    counts = depths(-1)
    assert counts[0] == 0 and len(counts) == 4 and stats.chisquare(counts[1:]).pvalue > UNLIKELY
    assert np.array_equal(depths(5), [0, 0, 0, 0, 0, 2000])


def test_the_shares_of_aug_mix_are_dirichlet_and_beta():
    seeds = tf.stack([tf.range(2000), tf.range(2000)], axis=1)
    drawing = tf.data.Dataset.from_tensor_slices(seeds).map(lambda seed: policies.mixing_shares(seed, 3, 1.0))
    chains, original = next(drawing.batch(2000).as_numpy_iterator())
    assert np.allclose(np.sum(chains, axis=1) + original, 1, atol=1e-6) and np.min(chains) >= 0
    assert stats.kstest(original, "uniform").pvalue > UNLIKELY  # Beta(1, 1)
    first = (chains / (1 - original[:, tf.newaxis]))[:, 0]
    assert stats.kstest(first, stats.beta(1, 2).cdf).pvalue > UNLIKELY  # one of three parts of Dirichlet(1, 1, 1)
    for alpha in (1e-3, 1e4):
        chains, original = policies.mixing_shares(SEED, 3, alpha)
        assert np.isclose(np.sum(chains) + original, 1, atol=1e-6), alpha


def test_aug_mix_stays_between_the_extremes_of_picture_and_chains():
    image = picture((20, 20), values=(40, 200))
    space = operations.aug_mix_space(tf.constant(image), Outside(0, "bilinear"))
    assert len(space) == 9 and not set(space) & {"identity", *ENHANCEMENTS}
    flat = {
        "low": Operation(lambda image: tf.zeros_like(image) + 30),
        "high": Operation(lambda image: image // 2 + 120),
    }
    policy = policies.mix_chains(lambda _: flat, lambda uniform: uniform, width=3, depth=1, alpha=1.0)
    images = drawn(policy, image, 1000)
    low, high = np.minimum(image, 30), np.maximum(image, image // 2 + 120)
    assert np.all(images >= low) and np.all(images <= high) and len(np.unique(images, axis=0)) > 900


@pytest.mark.parametrize("severity", [1.0, 10.0])
def test_aug_mix_draws_strengths_from_a_hundredth_to_its_severity(severity, monkeypatch):
    def write(image, number, amount):
        return tf.fill(image.shape, tf.cast(tf.round(amount[0] * 250), tf.uint8))

    monkeypatch.setattr(operations, "aug_mix_space", lambda image, outside: recorders(2, write)(image))
    monkeypatch.setattr(policies, "mixing_shares", lambda seed, width, alpha: (tf.ones([width]), tf.constant(0.0)))
    strengths = drawn(aug_mix(severity=severity, width=1, depth=1), np.zeros((1, 1, 1), np.uint8), 2000).ravel() / 250
    uniform = stats.uniform(0.01, severity / 10 - 0.01)
    assert abs(strengths.min() - 0.01) < 0.01 and abs(strengths.max() - severity / 10) < 0.01
    assert abs(strengths.mean() - uniform.mean()) < 4 * uniform.std() / 2000**0.5 + 1e-3


# --- components ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("shape", [(32, 32, 3), (16, 20, 1)])
@pytest.mark.slow  # a shape is in test_contract.py
def test_the_contract(policy, shape):
    check(policy, shape)


@pytest.mark.parametrize("policy", MADE, ids=[policy.__name__ for policy in POLICIES])
def test_a_picture_does_not_depend_on_its_batch_and_other_fields_pass(policy):
    images = np.stack([picture(seed=n) for n in range(8)])
    batch = {"image": tf.constant(images), "label": tf.range(8)}
    made = policy()(batch, SEED)
    fewer = policy()({name: values[:3] for name, values in batch.items()}, SEED)
    assert made["image"].dtype == tf.uint8 and made["label"] is batch["label"]
    assert np.array_equal(made["image"][:3], fewer["image"])
    other = policy()(batch, SEED + 1)
    assert not np.array_equal(made["image"], other["image"]) and not np.array_equal(made["image"], images)


def test_only_the_chosen_operation_is_computed():
    ran = []

    def note(image, number, _):
        return tf.numpy_function(lambda x: (ran.append(number), x)[1], [image], tf.uint8)

    policy = policies.draw_operations(DATA, recorders(14, note), lambda uniform: uniform, count=2)
    drawn(policy, np.zeros((4, 4, 1), np.uint8), 300, batch=100)
    assert len(ran) == 600 and len(set(ran)) == 14


def test_they_stand_in_specs_and_their_bounds_are_checked():
    text = "name: a\ntask: {{type: classification, model: resnet}}\ndata: {{source: digits, augment: [{}]}}\n"
    spec = kplug.loads(text.format("rand_augment, trivial_augment, {type: aug_mix, depth: -1}"))
    assert [spec[f"data.augment.{n}"].name for n in range(3)] == ["rand_augment", "trivial_augment", "aug_mix"]
    for wrong in (
        "rand_augment, magnitude: 11",
        "rand_augment, operations: 0",
        "aug_mix, depth: 0",
        "aug_mix, width: 0",
    ):
        with pytest.raises(kplug.SpecError, match=wrong.split(", ")[1].split(":")[0]):
            kplug.loads(text.format(f"{{type: {wrong}}}"))


def test_they_are_listed_without_tensorflow():
    listed = no_tensorflow("components", "augmentation")
    assert listed.returncode == 0 and all(policy.__name__ in listed.stdout for policy in POLICIES)
