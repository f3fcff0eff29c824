"""Gradient-boosted trees with LightGBM on a table, with early stopping."""

import lightgbm


def train(
    learning_rate: float, leaves: int, min_rows: int, *, epochs: int = 300, patience: int = 30,
    data, seed,
):
    """Yield the validation loss after each tree, or the training loss if nothing is held out."""
    training = lightgbm.Dataset(data.training.inputs, data.training.targets)
    booster = lightgbm.Booster(
        {"objective": "binary", "learning_rate": learning_rate, "num_leaves": leaves,
         "min_data_in_leaf": min_rows, "seed": seed, "verbose": -1},
        training,
    )  # fmt: skip
    held_out = data.validation
    if held_out:
        rows = lightgbm.Dataset(held_out.inputs, held_out.targets, reference=training)
        booster.add_valid(rows, "validation")
    losses = []
    for _ in range(epochs):
        booster.update()
        evaluated = booster.eval_valid() if held_out else booster.eval_train()
        losses.append(evaluated[0][2])
        yield {"validation_loss": losses[-1]}
        if held_out and min(losses) < min(losses[-patience:]):
            break
    return booster
