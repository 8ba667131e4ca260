"""ResNet against the paper's parameter counts, and its pyramid."""

import keras
import numpy as np
import pytest
from kplug_cnn import resnet

# of torchvision's models, which follow the paper and have no biases before normalization, without the classifier
PARAMETERS = {18: 11_176_512, 34: 21_284_672, 50: 23_508_032, 101: 42_500_160, 152: 58_143_808}


@pytest.mark.parametrize("depth", PARAMETERS)
def test_parameters(depth):
    network = resnet(depth)
    network(keras.Input((224, 224, 3)))
    trainable = sum(int(np.prod(v.shape)) for v in network.trainable_variables)
    assert trainable == PARAMETERS[depth]


def test_pyramid_has_the_strides_its_names_say():
    for stem, levels in (("large", ("P2", "P3", "P4", "P5")), ("small", ("P0", "P1", "P2", "P3"))):
        network = resnet(18, width=4, stem=stem)
        network(keras.Input((64, 96, 3)))
        assert tuple(network.pyramid_outputs) == levels
        for name, tensor in network.pyramid_outputs.items():
            stride = 2 ** int(name[1:])
            assert tensor.shape[1:3] == (64 // stride, 96 // stride)


def test_the_stem_goes_by_the_picture():
    for height, stride in ((32, 8), (64, 32)):
        assert resnet(18, width=4)(keras.Input((height, height, 1))).shape[1] == height // stride


def test_a_block_starts_as_the_identity():
    network = resnet(18, width=4, stem="small")
    x = np.random.default_rng(0).random((2, 8, 8, 3), np.float32)
    network(x)
    inner = network.network
    first = keras.Model(
        inner.inputs, [inner.get_layer("stem_relu").output, inner.get_layer("stage1_block1_out").output]
    )
    before, after = first.predict(x, verbose=0)
    np.testing.assert_allclose(before, after)
