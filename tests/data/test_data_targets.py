import json
from dataclasses import asdict

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from autorecipe.data.targets import (
    check_range,
    choose_scale,
    from_scale,
    parse_range,
    range_text,
    tail,
    to_scale,
)
from autorecipe.errors import InputError
from autorecipe.networks.layers import TargetLink
from autorecipe.recipe import from_dict
from autorecipe.results import DatasetInfo, TargetScale
from autorecipe.training.evaluate import predicted_values, unscale

SCALES = st.builds(
    TargetScale,
    log_unit=st.sampled_from([0.0, 0.01, 1.0, 50.0]),
    mean=st.floats(-100, 100),
    std=st.floats(0.01, 100),
)


def info_of(scale):
    return DatasetInfo("n", "table", "regression", "", "rmse", "", {}, target_scale=scale)


def drawn(kind, count=400):
    random = np.random.default_rng(0)
    return {
        "normal": lambda: random.normal(50, 4, count),
        "lognormal": lambda: random.lognormal(1, 1.2, count),
        "zeros": lambda: random.lognormal(1, 1.2, count) * (random.random(count) < 0.5),
        "signed": lambda: random.standard_t(2, count),
        "shares": lambda: random.beta(2, 3, count),
        "ratings": lambda: np.append(random.integers(10, 101, count) / 10, [1.0, 10.0]),
        "percent": lambda: np.append(random.uniform(0, 100, count), [0.0, 100.0]),
        "ages": lambda: random.integers(18, 66, count).astype(float),
        "counts": lambda: np.minimum(random.geometric(0.4, count), 10).astype(float),
        "few": lambda: random.lognormal(1, 1.2, 20),
    }[kind]()


@given(SCALES, st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=20))
def test_unscaling_undoes_scaling(scale, values):
    values = np.asarray(values)
    assert from_scale(to_scale(values, scale), scale) == pytest.approx(values, rel=1e-6, abs=1e-6)
    found = unscale(to_scale(values, scale).astype(np.float32), info_of(scale))
    assert found == pytest.approx(values, rel=2e-2, abs=2e-2)  # float32 is what a network is trained on


@given(SCALES, st.lists(st.floats(-1e4, 1e4), min_size=2, max_size=20))
def test_scaling_keeps_the_order(scale, values):
    values = np.sort(np.asarray(values))
    assert (np.diff(to_scale(values, scale)) >= 0).all()


class Same(nn.Module):
    def forward(self, x):
        return x


@given(
    st.floats(-1e3, 1e3),
    st.floats(0.1, 1e3),
    st.floats(0, 1),
    st.floats(0.01, 100),
    st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=9),
)
@settings(max_examples=60)
def test_predictions_are_always_within_the_bounds(low, width, share, std, outputs):
    scale = TargetScale(mean=low + share * width, std=std, low=low, high=low + width, link="sigmoid")
    out = TargetLink(Same(), scale)(torch.tensor(outputs)[:, None])
    found = predicted_values(out.numpy(), info_of(scale))
    assert ((found >= low) & (found <= low + width)).all()
    raw = predicted_values(np.asarray(outputs)[:, None], info_of(scale))  # a baseline's, without the link
    assert ((raw >= low) & (raw <= low + width)).all()


@given(st.floats(0.01, 1e4), st.floats(0.01, 1e4), st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=9))
@settings(max_examples=60)
def test_an_exponential_stays_above_zero_and_finite(mean, std, outputs):
    scale = TargetScale(mean=mean, std=std, low=0.0, link="exp")
    found = predicted_values(TargetLink(Same(), scale)(torch.tensor(outputs)[:, None]).numpy(), info_of(scale))
    assert np.isfinite(found).all()
    assert (found >= 0).all()


@pytest.mark.parametrize("link", ["sigmoid", "exp"])
def test_an_output_of_zero_is_the_mean_and_outputs_grow(link):
    scale = TargetScale(mean=3.0, std=2.0, low=0.0, high=10.0 if link == "sigmoid" else None, link=link)
    body = TargetLink(Same(), scale)
    x = torch.linspace(-8, 8, 33)[:, None]
    assert predicted_values(body(torch.zeros(1, 1)).numpy(), info_of(scale)).item() == pytest.approx(3.0, abs=1e-5)
    assert (body(x).diff(dim=0) > 0).all()


def test_gradients_are_finite_far_out():
    scale = TargetScale(mean=3.0, std=2.0, low=0.0, link="exp")
    x = torch.tensor([[-1e4], [0.0], [1e4]], requires_grad=True)
    TargetLink(Same(), scale)(x).sum().backward()
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize(
    ("kind", "metric", "link", "log", "finding"),
    [
        ("normal", "rmse", "identity", False, None),
        ("normal", "mae", "identity", False, None),
        ("ages", "rmse", "identity", False, None),
        ("lognormal", "rmse", "exp", False, "heavy_tail"),
        ("lognormal", "r2", "exp", False, "heavy_tail"),
        ("lognormal", "mae", "identity", True, "heavy_tail"),
        ("lognormal", "rmsle", "identity", True, "log_target"),
        ("zeros", "rmse", "exp", False, "zero_inflated"),
        ("ages", "mean_poisson_deviance", "exp", False, "positive_target"),  # won by the mean, not by a mean of logs
        ("lognormal", "mean_gamma_deviance", "exp", False, "positive_target"),
        ("few", "mean_poisson_deviance", "exp", False, "positive_target"),
        ("signed", "rmse", "identity", False, "heavy_tail"),
        ("signed", "mae", "identity", True, "heavy_tail"),
        ("shares", "rmse", "sigmoid", False, "bounded_target"),
        ("ratings", "rmse", "sigmoid", False, "bounded_target"),
        ("percent", "rmse", "sigmoid", False, "bounded_target"),
        ("few", "rmse", "identity", False, None),
    ],
)
def test_the_scale_is_chosen_by_targets_and_metric(kind, metric, link, log, finding):
    values = drawn(kind)
    scale, found = choose_scale(values, metric, "auto")
    assert (scale.link, scale.log_unit > 0) == (link, log)
    assert [f.kind for f in found][:1] == ([finding] if finding else [])
    trained = to_scale(values, scale)
    assert trained.mean() == pytest.approx(0, abs=1e-6)
    assert trained.std() == pytest.approx(1)
    assert from_scale(trained, scale) == pytest.approx(values, rel=1e-9, abs=1e-9)
    assert all(f.found and f.done for f in found)
    assert from_dict(TargetScale, json.loads(json.dumps(asdict(scale)))) == scale


def test_a_log_tames_what_it_is_taken_for():
    values = drawn("lognormal")
    assert tail(values) > 2
    assert tail(to_scale(values, choose_scale(values, "mae", "auto")[0])) < 1


def test_bounds_that_are_asked_for_are_taken():
    values = drawn("normal")
    scale, found = choose_scale(values, "rmse", "0,100")
    assert (scale.low, scale.high, scale.link) == (0.0, 100.0, "sigmoid")
    assert [(f.kind, f.otherwise) for f in found] == [("bounded_target", "")]
    assert "lie within the bounds 0 to 100: " in found[0].found
    assert range_text(scale) == "0.0,100.0"
    assert parse_range(range_text(scale)) == (0.0, 100.0)
    scale, _ = choose_scale(drawn("shares"), "rmse", "none")
    assert (scale.link, range_text(scale)) == ("identity", "none")


@pytest.mark.parametrize(
    ("kind", "metric", "beyond"),
    [
        ("shares", "rmse", 1.4),
        ("ratings", "rmse", 11.0),
        ("zeros", "rmse", -1.0),
        ("lognormal", "rmse", -1.0),
        ("lognormal", "mae", -1.0),
    ],
)
def test_no_bound_is_found_that_val_or_confirm_is_beyond(kind, metric, beyond):
    values = drawn(kind)
    bound = choose_scale(values, metric, "auto", values[:9])[0]
    assert bound.low is not None
    assert bound == choose_scale(values, metric, "auto")[0]
    free = choose_scale(values, metric, "auto", np.asarray([beyond]))[0]
    assert (free.link, free.low, free.high) == ("identity", None, None)


@pytest.mark.parametrize("text", ["3", "1,2,3", "a,b", "2,1", "nan,1", "0,inf", ""])
def test_what_are_no_bounds_is_refused(text):
    with pytest.raises(InputError, match="--range"):
        parse_range(text)


def test_targets_outside_of_the_bounds_are_told():
    check_range("auto", np.asarray([5.0]), "regression")
    with pytest.raises(InputError, match="2 of 3 targets lie outside, such as -1"):
        check_range("0,10", np.asarray([-1.0, 5.0, 11.0]), "regression")
    with pytest.raises(InputError, match="the task is binary"):
        check_range("0,10", np.asarray(["a", "b"]), "binary")
