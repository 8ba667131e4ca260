"""A plugin of the tests: a generative adversarial network (Goodfellow et al. 2014), its non-saturating losses."""

from typing import Annotated

from kplug import Architecture, Count, DataInfo, Evaluator, FieldName, Optimizer, Sees, Task, call, gives, hookimpl

kplug_api = 2


@hookimpl
def components():
    return [gan, spread]


@gives("{image}")
def gan(
    data: DataInfo,
    generator: Architecture,
    discriminator: Annotated[Architecture, Sees("{image}")],
    latent: Count = 16,
    generator_optimizer: Optimizer = call("adam", learning_rate=2e-4, beta_1=0.5),
    discriminator_optimizer: Optimizer = call("adam", learning_rate=2e-4, beta_1=0.5),
    image: FieldName = "image",
    evaluator: Evaluator | None = "spread",
) -> Task:
    """Draw pictures like those of the data from noise (Goodfellow et al. 2014).

    Args:
        generator: from noise [b, latent] to values of a picture, flat or in its shape; a sigmoid is applied.
        discriminator: from pictures in 0 to 1 to one score [b, 1], high where a picture is real.
        latent: numbers that a picture is drawn from.
        generator_optimizer: changes the generator.
        discriminator_optimizer: changes the discriminator.
        image: the field of pictures.
        evaluator: looks at drawn pictures.
    """
    from tiny_gan_model import make_learner

    optimizers = discriminator_optimizer, generator_optimizer
    return make_learner(data, generator, discriminator, latent, optimizers, image, evaluator)


def spread(count: Count = 64, every: Count | None = None) -> Evaluator:
    """Mean standard deviation of each pixel over drawn pictures: near 0 where all pictures are the same.

    Args:
        count: pictures that are drawn.
        every: it looks after so many epochs each; null: not while training.
    """
    from tiny_gan_model import Spread

    return Spread(count, every)
