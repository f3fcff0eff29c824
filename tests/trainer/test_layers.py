import numpy as np
import pytest
from gradients import numerical_gradient

from trainer.layers.activations import ACTIVATIONS, ReLU, Sigmoid, Tanh
from trainer.layers.batch_normalization import BatchNormalization
from trainer.layers.convolution import Convolution
from trainer.layers.dense import Dense
from trainer.layers.dropout import Dropout
from trainer.layers.flatten import Flatten
from trainer.layers.layer import Place
from trainer.layers.noise import Noise
from trainer.layers.pooling import AveragePooling, MaxPooling
from trainer.networks import LAYERS

ROWS = 3
CASES = [
    (Dense(4), (5,)),
    (Convolution(3, size=3), (6, 5, 2)),
    (Convolution(2, size=3, stride=2), (6, 7, 2)),
    (Convolution(2, size=2, padding=1), (3, 4, 2)),
    (Convolution(2, size=3, stride=2, padding=2), (4, 4, 1)),
    (Convolution(2, size=2, stride=2), (4, 4, 8)),
    (MaxPooling(), (4, 6, 2)),
    (MaxPooling(), (5, 5, 2)),
    (MaxPooling(size=3, stride=2), (7, 5, 2)),
    (AveragePooling(), (4, 6, 2)),
    (AveragePooling(), (5, 5, 2)),
    (AveragePooling(size=3, stride=1), (5, 4, 2)),
    (Flatten(), (2, 3, 2)),
    (ReLU(), (5,)),
    (Sigmoid(), (2, 2, 3)),
    (Tanh(), (5,)),
    (BatchNormalization(), (4,)),
    (BatchNormalization(), (3, 2, 4)),
    (Dropout(0.4), (50,)),
    (Noise(0.3), (5,)),
]


def bind(layer, shape, rows=ROWS, training=True, seed=0, dtype=np.float64):
    """Return the passes of a layer bound to arrays of its own, its values and its gradients."""
    random = np.random.default_rng(seed)
    parameters = layer.parameters(shape)
    values = tuple(random.normal(size=p.shape).astype(dtype) for p in parameters)
    for parameter, value in zip(parameters, values, strict=True):
        if parameter.kind == "statistic":
            value[...] = np.abs(value) + 0.5
    gradients = tuple(np.full_like(v, np.nan) for v in values)
    place = Place(shape, rows, np.dtype(dtype), values, gradients, random, training, first=False)
    return *layer.bind(place), values, gradients


def test_every_layer_is_in_the_table_under_the_name_that_files_have():
    assert {type(layer) for layer, _ in CASES} == set(LAYERS.values())
    assert {name: kind.__name__ for name, kind in LAYERS.items()} == {
        "dense": "Dense", "convolution": "Convolution", "max_pooling": "MaxPooling",
        "average_pooling": "AveragePooling", "flatten": "Flatten", "dropout": "Dropout",
        "batch_normalization": "BatchNormalization", "noise": "Noise", "relu": "ReLU",
        "sigmoid": "Sigmoid", "tanh": "Tanh",
    }


@pytest.mark.parametrize(("layer", "shape"), CASES, ids=str)
def test_analytic_gradients_are_the_numerical_ones(layer, shape):
    random = np.random.default_rng(1)
    inputs = random.normal(size=(ROWS, *shape))
    toward = random.normal(size=(ROWS, *layer.output_shape(shape)))
    _, _, values, _ = bind(layer, shape)

    def run():
        # Bound anew with the same seed, dropout and noise draw the same.
        forward, backward, own, gradients = bind(layer, shape)
        for mine, value in zip(own, values, strict=True):
            mine[...] = value
        return forward(inputs.copy()), backward, gradients

    def loss():
        return float(np.sum(run()[0] * toward))

    outputs, backward, gradients = run()
    assert outputs.shape == toward.shape
    inputs_gradient = backward(toward.copy())
    np.testing.assert_allclose(
        inputs_gradient, numerical_gradient(loss, inputs), rtol=1e-5, atol=1e-7
    )
    for parameter, value, gradient in zip(layer.parameters(shape), values, gradients, strict=True):
        if parameter.kind != "statistic":
            np.testing.assert_allclose(
                gradient, numerical_gradient(loss, value), rtol=1e-5, atol=1e-7
            )


@pytest.mark.parametrize(
    ("layer", "shape"), [c for c in CASES if not isinstance(c[0], (Dropout, Noise))], ids=str
)
def test_a_second_batch_owes_nothing_to_the_first(layer, shape):
    random = np.random.default_rng(2)
    first, second = random.normal(size=(2, ROWS, *shape))
    toward = random.normal(size=(ROWS, *layer.output_shape(shape)))
    fresh_forward, fresh_backward, _, _ = bind(layer, shape)
    outputs = fresh_forward(second.copy()).copy()
    gradient = fresh_backward(toward.copy()).copy()
    forward, backward, _, _ = bind(layer, shape)
    forward(first.copy())
    backward(np.flip(toward).copy())
    np.testing.assert_array_equal(forward(second.copy()), outputs)
    np.testing.assert_array_equal(backward(toward.copy()), gradient)


@pytest.mark.parametrize(("layer", "shape"), CASES, ids=str)
def test_float32_stays_float32(layer, shape):
    forward, backward, _, gradients = bind(layer, shape, dtype=np.float32)
    outputs = forward(np.ones((ROWS, *shape), np.float32))
    assert outputs.dtype == np.float32
    assert backward(np.ones_like(outputs)).dtype == np.float32
    assert all(gradient.dtype == np.float32 for gradient in gradients)


@pytest.mark.parametrize(("layer", "shape"), CASES, ids=str)
def test_only_activations_overwrite_their_inputs(layer, shape):
    inputs = np.random.default_rng(3).normal(size=(ROWS, *shape))
    inputs.reshape(-1)[:2] = 0.0
    for training in (True, False):
        given = inputs.copy()
        bind(layer, shape, training=training)[0](given)
        assert (type(layer) in ACTIVATIONS.values()) != np.array_equal(given, inputs)


def test_activations_are_their_formulas():
    x = np.array([[-800.0, -2.0, -0.0, 0.0, 0.5, 3.0, 800.0]])
    expected = {
        "relu": [0, 0, 0, 0, 0.5, 3, 800],
        "sigmoid": 1 / (1 + np.exp(-np.clip(x[0], -700, 700))),
        "tanh": np.tanh(x[0]),
    }
    for name, activation in ACTIVATIONS.items():
        with np.errstate(over="ignore"):
            outputs = bind(activation(), (7,), rows=1)[0](x.copy())
        np.testing.assert_allclose(outputs[0], expected[name], atol=1e-15)


def test_dead_is_where_no_gradient_passes():
    assert ReLU().dead(np.array([0.0, 1e-9, 2.0])).tolist() == [True, False, False]
    ends = np.array([0.009, 0.011, 0.5, 0.989, 0.991])
    assert Sigmoid().dead(ends).tolist() == [True, False, False, False, True]
    assert Tanh().dead(2 * ends - 1).tolist() == [True, False, False, False, True]


def slow_convolution(inputs, weights, biases, size, stride, padding):
    inputs = np.pad(inputs, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    rows, height, width, channels = inputs.shape
    filters = weights.reshape(size, size, channels, -1)
    down, across = (height - size) // stride + 1, (width - size) // stride + 1
    outputs = np.empty((rows, down, across, filters.shape[-1]))
    for row in range(rows):
        for y in range(down):
            for x in range(across):
                seen = inputs[row, y * stride : y * stride + size, x * stride : x * stride + size]
                outputs[row, y, x] = np.einsum("ijc,ijcf->f", seen, filters) + biases
    return outputs


@pytest.mark.parametrize(
    ("layer", "shape"), [c for c in CASES if isinstance(c[0], Convolution)], ids=str
)
def test_a_convolution_is_its_direct_formula(layer, shape):
    inputs = np.random.default_rng(4).normal(size=(ROWS, *shape))
    forward, _, (weights, biases), _ = bind(layer, shape)
    expected = slow_convolution(inputs, weights, biases, layer.size, layer.stride, layer.padding)
    np.testing.assert_allclose(forward(inputs), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (Convolution(3), (6, 5, 2)),
        (Convolution(3), (9, 4, 2)),
        (Convolution(2, padding=2), (5, 4, 3)),
        (Convolution(2, size=2, padding=1), (3, 4, 2)),
        (Convolution(2, size=4), (11, 6, 2)),
        (Convolution(2, size=5), (7, 8, 2)),
    ],
    ids=str,
)
def test_winograds_method_is_the_direct_one(monkeypatch, layer, shape):
    inputs, toward = (
        np.random.default_rng(9).normal(size=(ROWS, *s)) for s in (shape, layer.output_shape(shape))
    )

    def run():
        forward, backward, _, gradients = bind(layer, shape)
        forward(toward.repeat(20)[: inputs.size].reshape(inputs.shape))
        backward(-toward)
        return forward(inputs).copy(), backward(toward.copy()), *gradients

    direct = run()
    monkeypatch.setattr("trainer.layers.convolution._CHANNELS", 1)
    monkeypatch.setattr("trainer.layers.convolution._TALL", 1)
    monkeypatch.delattr(Convolution, "_bind_columns")
    for one, other in zip(run(), direct, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("images_at_once", [1, 2])
def test_a_convolution_in_blocks_is_the_same_as_at_once(monkeypatch, images_at_once):
    layer, shape = Convolution(2, size=3, padding=1), (5, 4, 3)
    inputs, toward = (
        np.random.default_rng(8).normal(size=(ROWS, *s)) for s in (shape, layer.output_shape(shape))
    )

    def run():
        forward, backward, _, gradients = bind(layer, shape)
        return forward(inputs), backward(toward), *gradients

    whole = run()
    monkeypatch.setattr("trainer.layers.convolution._COLUMNS", images_at_once * 5 * 4 * 27)
    for one, other in zip(run(), whole, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("kind", "of"), [(MaxPooling, np.max), (AveragePooling, np.mean)])
@pytest.mark.parametrize(("size", "stride"), [(2, 2), (3, 2), (2, 1)])
def test_pooling_is_its_direct_formula(kind, of, size, stride):
    inputs = np.random.default_rng(5).normal(size=(ROWS, 7, 6, 2))
    outputs = bind(kind(size, stride), (7, 6, 2))[0](inputs)
    for y in range(outputs.shape[1]):
        for x in range(outputs.shape[2]):
            top, left = y * stride, x * stride
            square = inputs[:, top : top + size, left : left + size]
            np.testing.assert_allclose(outputs[:, y, x], of(square, axis=(1, 2)))


def test_the_gradient_of_a_maximum_goes_to_the_first_of_equals():
    forward, backward, _, _ = bind(MaxPooling(), (2, 2, 1), rows=1)
    forward(np.ones((1, 2, 2, 1)))
    assert backward(np.full((1, 1, 1, 1), 5.0)).reshape(-1).tolist() == [5, 0, 0, 0]


@pytest.mark.parametrize("layer", [Convolution(2), MaxPooling(3), AveragePooling(3)])
def test_a_window_that_does_not_fit_is_an_error(layer):
    with pytest.raises(ValueError, match="does not fit"):
        layer.output_shape((2, 5, 1))
    with pytest.raises(ValueError, match="does not fit"):
        layer.output_shape((10,))


def test_a_dense_layer_takes_flat_rows():
    with pytest.raises(ValueError, match="flat rows"):
        Dense(3).output_shape((4, 4, 1))


@pytest.mark.parametrize("shape", [(3,), (4, 5, 3)])
def test_batch_normalization_is_its_formula(shape):
    layer = BatchNormalization(momentum=0.8, epsilon=1e-3)
    inputs = np.random.default_rng(6).normal(2.0, 3.0, (8, *shape))
    forward, _, (scale, shift, mean, variance, batches), _ = bind(layer, shape, rows=8)
    batches[...] = 100  # before this one
    before = mean.copy(), variance.copy()
    axes = tuple(range(inputs.ndim - 1))
    batch_mean, batch_variance = inputs.mean(axes), inputs.var(axes)
    normal = (inputs - batch_mean) / np.sqrt(batch_variance + 1e-3)
    np.testing.assert_allclose(forward(inputs), scale * normal + shift)
    np.testing.assert_allclose(mean, 0.8 * before[0] + 0.2 * batch_mean)
    np.testing.assert_allclose(variance, 0.8 * before[1] + 0.2 * inputs.var(axes, ddof=1))


def test_batch_normalization_infers_with_the_running_statistics():
    inputs = np.random.default_rng(7).normal(size=(5, 3))
    forward, _, (scale, shift, mean, variance, _), _ = bind(
        BatchNormalization(), (3,), rows=5, training=False
    )
    expected = scale * (inputs - mean) / np.sqrt(variance + 1e-5) + shift
    np.testing.assert_allclose(forward(inputs), expected)


def test_the_first_batches_leave_nothing_of_where_the_running_statistics_began():
    batches = np.random.default_rng(8).normal(3.0, 0.01, (4, 50, 2))
    forward, _, (_, _, mean, variance, count), _ = bind(
        BatchNormalization(momentum=0.75), (2,), rows=50
    )
    count[...] = 0
    for batch in batches:
        forward(batch)
    np.testing.assert_allclose(mean, batches.mean(axis=(0, 1)))
    np.testing.assert_allclose(variance, batches.var(axis=1, ddof=1).mean(axis=0))
    assert count == 4


def test_dropout_drops_its_share_and_keeps_the_mean():
    forward, _, _, _ = bind(Dropout(0.3), (1000,), rows=200)
    outputs = forward(np.ones((200, 1000)))
    # 200,000 draws: five standard deviations are 0.005.
    assert abs(np.mean(outputs == 0) - 0.3) < 0.005
    assert abs(outputs.mean() - 1.0) < 0.008
    np.testing.assert_allclose(outputs[outputs > 0], 1 / 0.7)


def test_dropout_drops_anew_each_time_and_never_in_inference():
    ones = np.ones((ROWS, 100))
    forward, _, _, _ = bind(Dropout(0.5), (100,))
    assert not np.array_equal(forward(ones).copy(), forward(ones))
    np.testing.assert_array_equal(bind(Dropout(0.5), (100,), training=False)[0](ones), ones)


def test_noise_has_its_standard_deviation_and_is_absent_in_inference():
    zeros = np.zeros((200, 1000))
    noise = bind(Noise(0.25), (1000,), rows=200)[0](zeros)
    assert abs(noise.std() - 0.25) < 0.003
    assert abs(noise.mean()) < 0.003
    np.testing.assert_array_equal(bind(Noise(), (1000,), rows=200, training=False)[0](zeros), zeros)
