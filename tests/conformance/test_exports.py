"""Every family, on every kind of data it takes, says the same in onnxruntime."""

import numpy as np
import pytest
import torch
from helpers import recipe_for

from autorecipe.networks import FAMILIES, build_final
from autorecipe.outputs.onnx_file import check_onnx, convert
from autorecipe.outputs.whole import Sample, Whole, input_names
from autorecipe.recipe import replace

SETS = {"image": ("digits", "coloured"), "table": ("iris", "mixed", "diabetes")}
CASES = [
    (name, dataset, embedding)
    for name, known in FAMILIES.items()
    for modality in known.modalities
    for dataset in SETS[modality]
    for embedding in (("none", "piecewise", "periodic") if (name, modality) == ("mlp", "table") else ("none",))
]


@pytest.mark.parametrize("members", [1, 2])
@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_onnx_outputs_are_equal(case, members, datasets):
    name, dataset, embedding = case
    data = datasets[dataset]
    recipe = recipe_for(data, FAMILIES[name].smallest(data.info))
    recipe = replace(recipe, {"network.embedding": embedding, "finish.members": members})
    torch.manual_seed(0)
    network = build_final(recipe, data.info)
    for parameter in network.parameters():  # a head that is nearly zero would agree with anything
        parameter.data += 0.1 * torch.randn_like(parameter)
    model = Whole(network, recipe, data.info).eval().requires_grad_(False)
    inputs = [x[:40] for x in data.inputs]
    sample = Sample(tuple(x for x in inputs if x.shape[1]))
    assert len(sample.inputs) == len(input_names(data.info))
    said = check_onnx(convert(model, data.info, sample.inputs).SerializeToString(), model, data.info, sample)
    assert said.shape[0] == 40
    assert np.ptp(said) > 1e-3
