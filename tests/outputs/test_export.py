"""Models in other forms: equal outputs, whole or not written at all."""

import dataclasses
import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import autorecipe
from autorecipe.cli.main import run as command
from autorecipe.errors import InputError
from autorecipe.outputs import onnx_file
from autorecipe.outputs.export import export
from autorecipe.outputs.identity import as_outputs, identity_of
from autorecipe.outputs.whole import input_names, sample_of
from autorecipe.predictor import load
from autorecipe.training.evaluate import predicted_values, probabilities

CASES = {
    "resnet": ("digits", {"finish.shift_tta": 1, "finish.flip_tta": True, "finish.temperature": 1.7}),
    "linear-image": ("digits", {"network": {"family": "linear"}}),
    "several-mlp": (
        "digits",
        {"network": {"family": "mlp", "width": 8, "blocks": [{"width": 8}]}, "finish.members": 2},
    ),
    "piecewise": ("iris", {"network.embedding": "piecewise", "finish.members": 3}),
    "periodic": ("wine", {"network.embedding": "periodic"}),
    "linear-table": ("breast_cancer", {"network": {"family": "linear"}, "finish.thresholds": [0.3]}),
    "regression": ("diabetes", {"finish.members": 2}),
}


def said_by_onnx(path, inputs, info):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert [known.name for known in session.get_inputs()] == input_names(info)
    return session.run(None, dict(zip(input_names(info), (x.numpy() for x in inputs), strict=True)))[0]


def said_by_the_run(result, sample):
    if result.info.task == "regression":
        return predicted_values(sample.outputs, result.info)
    return probabilities(sample.outputs, result.info.task)


@pytest.mark.parametrize("case", CASES)
def test_onnx_says_what_the_run_says(case, replayed):
    source, changes = CASES[case]
    result = replayed(source, **changes)
    path = export(result.run, "onnx")
    assert path == result.run.onnx
    sample = sample_of(result.run, result.info)
    assert 30 <= len(sample.targets) <= 256
    for count in (len(sample.targets), 1, 7):
        found = said_by_onnx(path, tuple(x[:count] for x in sample.inputs), result.info)
        np.testing.assert_allclose(found, said_by_the_run(result, sample)[:count], rtol=1e-3, atol=1e-4)
    names = [entry.name for entry in onnx.load(path).graph.output]
    assert names == ["prediction" if result.info.task == "regression" else "probabilities"]
    facts = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert facts["recipe_digest"] == result.recipe.digest
    assert facts["weights_sha256"] == result.summary["weights_sha256"]
    if result.info.classes:
        assert json.loads(facts["classes"]) == list(result.info.classes)


@pytest.mark.parametrize("case", ["resnet", "piecewise", "regression"])
def test_identity_is_told_in_the_summary(case, replayed):
    source, changes = CASES[case]
    result = replayed(source, **changes)
    before = result.summary["identity"]
    assert before["score_after_export"] is None
    assert before["score_after_reload"] == result.summary["scores"]["test"]
    again = before["reload"]
    assert again["on"] == "val"
    assert again["max_difference"] < 1e-5
    assert again["score_after"] == pytest.approx(again["score_before"], rel=1e-6)
    export(result.run, "onnx")
    found = load(result.path).summary["identity"]
    assert found["weights_sha256"] == before["weights_sha256"]
    assert found["score_after_export"] == pytest.approx(found["export"]["score_before"], rel=1e-3)
    assert found["export"]["same_predictions"] == 1.0
    scale = 1.0 if result.info.classes else 100.0
    assert found["export"]["max_difference"] < 1e-3 * scale


def test_the_users_own_metric_is_not_needed_to_export(replayed):
    result = replayed("iris")
    sample = sample_of(result.run, result.info)
    info = dataclasses.replace(result.info, metric="python:mine")
    said = probabilities(sample.outputs, info.task)
    found = identity_of(SimpleNamespace(info=info, recipe=result.recipe), sample, said)
    assert found["score_after_export"] is None
    assert "function" in found["export"]["reason"]
    assert found["export"]["same_predictions"] == 1.0


def test_a_damaged_sample_is_drawn_anew(replayed):
    result = replayed("iris")
    result.run.test_sample.write_bytes(b"none")
    assert sample_of(result.run, result.info).outputs is None
    assert export(result.run, "onnx").exists()


def test_outputs_come_back_from_probabilities(replayed):
    result = replayed("breast_cancer")
    logits = np.array([[2.0, -1.0], [0.3, 0.4]])
    back = as_outputs(probabilities(logits), result.info)
    np.testing.assert_allclose(probabilities(back), probabilities(logits))


def test_a_model_that_would_say_something_else_is_not_left(replayed, monkeypatch):
    result = replayed("iris")
    result.run.onnx.write_bytes(b"the one before")
    convert = onnx_file.convert

    def broken(model, info, inputs):
        made = convert(model, info, inputs)
        values = next(t for t in made.graph.initializer if t.data_type == onnx.TensorProto.FLOAT and len(t.dims) == 2)
        changed = onnx.numpy_helper.to_array(values) + 0.5
        values.CopyFrom(onnx.numpy_helper.from_array(changed.astype(np.float32), values.name))
        return made

    monkeypatch.setattr(onnx_file, "convert", broken)
    with pytest.raises(InputError, match="outputs differ from torch's"):
        export(result.run, "onnx")
    assert result.run.onnx.read_bytes() == b"the one before"
    assert not list(result.path.glob("*.tmp"))


LOAD = """
import sys, torch, numpy as np
class Blocked:
    def find_spec(self, name, *rest):
        if name.split(".")[0] in ("autorecipe", "rtdl_num_embeddings"):
            raise ImportError(name)
sys.meta_path.insert(0, Blocked())
model = torch.export.load(sys.argv[1]).module()
given = np.load(sys.argv[2])
np.save(sys.argv[3], model(*(torch.from_numpy(given[name]) for name in given)).detach().numpy())
"""


@pytest.mark.parametrize("case", ["resnet", "piecewise", "regression"])
def test_a_torch_program_works_without_autorecipe(case, replayed, tmp_path):
    source, changes = CASES[case]
    result = replayed(source, **changes)
    path = export(result.run, "torch")
    assert path == result.run.program
    sample = sample_of(result.run, result.info)
    given = dict(zip(input_names(result.info), (x[:9].numpy() for x in sample.inputs), strict=True))
    np.savez(tmp_path / "given.npz", **given)
    words = [str(path), str(tmp_path / "given.npz"), str(tmp_path / "found.npy")]
    done = subprocess.run([sys.executable, "-c", LOAD, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(np.load(words[2]), said_by_the_run(result, sample)[:9], rtol=1e-3, atol=1e-4)


def test_without_a_kept_sample_the_check_draws_its_own(replayed):
    result = replayed("wine")
    result.run.test_sample.unlink()
    export(result.run, "onnx")
    found = load(result.path).summary["identity"]
    assert found["score_after_export"] is None
    assert "no test examples" in found["export"]["reason"]


def test_export_on_the_command_line(replayed, tmp_path, capsys):
    result = replayed("iris")
    assert command(["export", str(result.path), "--format", "script", "--out", str(tmp_path / "own.py")]) == 0
    said = capsys.readouterr()
    assert "own.py" in said.out
    assert "preprocess.json" in said.err
    assert (tmp_path / "own.py").read_text().startswith('"""')
    assert autorecipe.export(result.path, "script") == result.run.script


BAD = {
    "a format that is none": (["--format", "onx"], "did you mean 'onnx'"),
    "no format": ([], "--format"),
    "a folder": (["--format", "onnx", "--out", "{here}"], "is a folder"),
    "the weights": (["--format", "onnx", "--out", "{run}/model.safetensors"], "take the place of"),
    "no such place": (["--format", "script", "--out", "/proc/nowhere/train.py"], "give another --out"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_words_exit_with_2_and_lose_nothing(case, replayed, tmp_path, capsys):
    result = replayed("iris")
    words, said = BAD[case]
    before = {path: path.read_bytes() for path in result.path.rglob("*") if path.is_file()}
    words = [word.format(here=tmp_path, run=result.path) for word in words]
    assert command(["export", str(result.path), *words]) == 2
    assert said in capsys.readouterr().err
    assert {path: path.read_bytes() for path in result.path.rglob("*") if path.is_file()} == before


def test_a_run_without_a_model_or_with_damaged_weights_is_refused(replayed):
    result = replayed("iris")
    content = result.run.weights.read_bytes()
    result.run.weights.write_bytes(content[:-8] + b"\0" * 8)
    with pytest.raises(InputError, match="SHA-256"):
        export(result.run, "onnx")
    result.run.weights.unlink()
    with pytest.raises(InputError, match="holds no model yet"):
        export(result.run, "torch")
    assert not result.run.onnx.exists()


def test_columns_are_named_in_the_order_of_the_inputs(replayed, tmp_path):
    frame = __import__("pandas").DataFrame(
        {
            "size": [1.0, None, 3.0, 2.5] * 20,
            "colour": ["red", "green", "blue", "red"] * 20,
            "label": ["a", "b"] * 40,
        }
    )
    frame.to_csv(tmp_path / "data.csv", index=False)
    result = replayed(tmp_path / "data.csv")
    facts = {entry.key: entry.value for entry in onnx.load(export(result.run, "onnx")).metadata_props}
    assert json.loads(facts["numbers"]) == ["size", "size:missing"]
    assert json.loads(facts["codes"]) == ["colour"]
    assert torch.equal(sample_of(result.run, result.info).inputs[1] > 0, torch.ones(16, 1, dtype=torch.bool))
