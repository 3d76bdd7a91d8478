"""Weights and model folders of strangers: nothing of them runs, and what is no whole, finite weight file is refused."""

import collections
import contextlib
import json
import os
import pickle
import shutil
import struct
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from hmbench.data.disc_world import DiscWorld
from hmbench.errors import SampleError, UserError
from hmbench.networks.files import read_state
from hmbench.networks.motion_networks import load_interpolator
from hmbench.networks.untrusted import check_weight_file
from hmbench.registry import MODEL_FILE, create_model
from hmbench.run.evaluate import EvalRequest, evaluate
from hmbench.subjects.detect import load_yolo11, mini_network
from reference_model.sampling.models import hydra
from reference_model.sampling.world_model import WEIGHTS, to_video

DISC = DiscWorld().ids("all")[0]
SHIPPED = WEIGHTS / "nano-no-memory"


class Payload:
    """Runs when it is unpickled: touches a file."""

    def __init__(self, call, *arguments) -> None:
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


def payloads(marker: Path) -> dict[str, object]:
    """A payload by each way that a pickle has to call something."""
    text = f"open({str(marker)!r}, 'w').close()"
    return {
        "system": Payload(os.system, f"touch {marker}"),
        "exec": Payload(exec, text),
        "eval": Payload(eval, text),
        "open": Payload(open, str(marker), "w"),
        "mkdir": Payload(os.mkdir, str(marker)),
        "nested": {"weight": [Payload(os.system, f"touch {marker}")]},
        "url": Payload(torch.hub.load_state_dict_from_url, f"file://{marker}"),
    }  # fmt: skip


NAMES = tuple(payloads(Path("x")))


def write_checkpoint(path: Path, payload: object, how: str) -> None:
    """A YOLO11 checkpoint, as good as a real one, with a payload in one of the places that a reader looks at."""
    network = mini_network(num_classes=80)
    if how == "model":
        torch.save({"model": payload}, path)
    elif how == "beside":
        torch.save({"model": network, "train_args": {}, "more": payload}, path)
    elif how == "inside":
        network.args = payload
        torch.save({"model": network, "train_args": {}}, path)
    elif how == "old format":
        torch.save({"model": payload}, path, _use_new_zipfile_serialization=False)
    elif how == "modelopt":
        torch.save({"model": network, "modelopt": payload}, path)
    else:
        path.write_bytes(pickle.dumps(payload))


@pytest.mark.parametrize("how", ["model", "beside", "inside", "old format", "modelopt", "plain pickle"])
@pytest.mark.parametrize("name", NAMES)
def test_no_payload_of_a_yolo_checkpoint_runs(tmp_path: Path, name: str, how: str) -> None:
    marker = tmp_path / "ran"
    write_checkpoint(tmp_path / "yolo11x.pt", payloads(marker)[name], how)
    with pytest.raises(UserError, match="cannot be read"):
        load_yolo11(tmp_path / "yolo11x.pt", "cpu")
    assert not marker.exists()


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".ckpt"])
@pytest.mark.parametrize("name", NAMES)
def test_no_payload_of_a_state_dict_runs(tmp_path: Path, name: str, suffix: str) -> None:
    marker = tmp_path / "ran"
    torch.save({"features.0.weight": payloads(marker)[name]}, tmp_path / f"w{suffix}")
    with pytest.raises(UserError, match="cannot be read"):
        read_state(tmp_path / f"w{suffix}")
    assert not marker.exists()


NO_WEIGHTS = {
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "Git LFS pointer"),
    "html": (b"\n<!doctype html><html><body>Not Found</body></html>", "web page"),
    "empty": (b"", "it is empty"),
    "zeros": (bytes(4096), "it is zeros"),
    "huge header": (struct.pack("<Q", 2**62) + b"{}" * 40, "cut off"),
    "cut off": (struct.pack("<Q", 400) + b'{"a": ', "cut off"),
    "short": (b"abc", "cut off"),
}


@pytest.mark.parametrize("name", NO_WEIGHTS)
def test_what_is_no_safetensors_file_is_named(tmp_path: Path, name: str) -> None:
    content, said = NO_WEIGHTS[name]
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    for read in (check_weight_file, read_state):
        with pytest.raises(UserError, match=said):
            read(path)


class Saves(torch.nn.Module):
    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def forward(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        torch.save(first, self.path)
        return first


class Maps(Saves):
    def forward(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        return first + torch.from_file(self.path, True, 10)


@pytest.mark.parametrize("kind", [Saves, Maps])
def test_torchscript_that_touches_files_is_refused(
    tmp_path: Path, kind: type[Saves], monkeypatch: pytest.MonkeyPatch
) -> None:
    """TorchScript is no Python and still a program."""
    monkeypatch.setattr(torch, "save", torch.serialization.save)  # ultralytics puts its own there, which is no script
    victim, path = tmp_path / "victim", tmp_path / "interpolator.pt"
    torch.jit.script(kind(str(victim))).save(str(path))
    with pytest.raises(UserError, match=r"its program calls '(save|from_file)'"):
        load_interpolator(path, "cpu")
    torch.jit.load(str(path))(torch.ones(10), torch.ones(10))
    assert victim.exists()  # it would have written


@pytest.mark.parametrize("content", [b"noise" * 100, b"PK\x05\x06" + bytes(18), b"<html>", b""])
def test_what_is_no_torchscript_is_a_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "interpolator.pt").write_bytes(content)
    with pytest.raises(UserError, match=r"TorchScript|web page|holds no weights"):
        load_interpolator(tmp_path / "interpolator.pt", "cpu")


def test_state_dicts_that_are_none_or_not_finite(tmp_path: Path) -> None:
    torch.save([torch.zeros(2)], tmp_path / "list.pt")
    torch.save({"a": 3}, tmp_path / "number.pt")
    for name in ("list", "number"):
        with pytest.raises(UserError, match="no tensors by name"):
            read_state(tmp_path / f"{name}.pt")
    for value in (float("nan"), float("inf")):
        save_file({"a": torch.zeros(3), "b": torch.tensor([1.0, value])}, tmp_path / "n.safetensors")
        with pytest.raises(UserError, match="b holds 1 numbers that are NaN or infinite"):
            read_state(tmp_path / "n.safetensors")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    shutil.copytree(SHIPPED, folder)
    return folder


def change(folder: Path, part: str, edit) -> None:
    """Changes the tensors of a part; the record of digests goes, as a stranger would do."""
    path = next((folder / part).glob("*.safetensors"))
    tensors = load_file(path)
    edit(tensors)
    save_file(tensors, path, metadata={"format": "pt"})
    (folder / "digests.json").unlink(missing_ok=True)


@pytest.mark.parametrize("part", ["transformer", "vae"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_one_nan_in_a_model_refuses_it(model: Path, part: str, value: float) -> None:
    def poison(tensors) -> None:
        name = sorted(n for n, t in tensors.items() if t.is_floating_point() and t.ndim > 1)[0]
        tensors[name].view(-1)[0] = value

    change(model, part, poison)
    with pytest.raises(UserError, match=r"holds 1 numbers that are NaN or infinite"):
        hydra(checkpoint=model)


@pytest.mark.parametrize("part", ["transformer", "vae"])
def test_a_whole_evaluation_of_nan_weights_gives_no_number(model: Path, tmp_path: Path, part: str) -> None:
    change(model, part, lambda tensors: tensors[sorted(tensors)[3]].view(-1)[0].fill_(float("nan")))
    with pytest.raises(UserError, match="NaN or infinite"):
        evaluate(EvalRequest(model=str(model), data="disc", samples=(DISC,), out=tmp_path / "run", tracking=False))
    assert not list((tmp_path / "run").rglob("*.mp4")) and not (tmp_path / "run" / "rows.jsonl").exists()


@pytest.mark.parametrize("value", [1e38, -1e38])
def test_finite_weights_that_overflow_give_no_picture_either(model: Path, tmp_path: Path, value: float) -> None:
    """Black frames had 8 dB once."""

    def blow_up(tensors) -> None:
        for name, tensor in tensors.items():
            if name.startswith("proj_out") or name.endswith("decoder.weight"):
                tensor.fill_(value)
        assert any(float(t.abs().max()) > 1e37 for t in tensors.values()), sorted(tensors)

    change(model, "transformer", blow_up)
    request = EvalRequest(model=str(model), data="disc", samples=(DISC,), out=tmp_path / "run", metrics=("psnr",))
    result = evaluate(replace(request, tracking=False, options={"steps": "2"}))
    assert "NaN or infinity" in result.failures[DISC]
    assert not list((tmp_path / "run").rglob("*.mp4"))
    assert result.summary["psnr"].mean is None


def test_a_tensor_too_many_or_too_few_refuses_it(model: Path, tmp_path: Path) -> None:
    change(model, "transformer", lambda tensors: tensors.update(surplus=torch.zeros(2)))
    with pytest.raises(UserError, match="does not know 1 tensors, such as surplus"):
        hydra(checkpoint=model)
    change(model, "transformer", lambda tensors: (tensors.pop("surplus"), tensors.pop(sorted(tensors)[0])))
    with pytest.raises(UserError, match="no usable pipeline"):
        hydra(checkpoint=model)


def test_a_number_beyond_all_floats_in_a_config_is_a_sentence(model: Path) -> None:
    path = model / "scheduler" / "scheduler_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "shift": 10**30}))
    with pytest.raises(UserError, match="no usable pipeline: int too big to convert"):
        hydra(checkpoint=model)


def test_a_flipped_bit_in_trained_weights_refuses_them(model: Path) -> None:
    path = next((model / "transformer").glob("*.safetensors"))
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(UserError, match=r"is not the file that .*digests\.json records"):
        hydra(checkpoint=model)


@pytest.mark.parametrize("name", NO_WEIGHTS)
@pytest.mark.parametrize("part", ["transformer", "vae", "text_encoder"])
def test_a_model_folder_whose_weights_are_none(model: Path, part: str, name: str) -> None:
    next((model / part).glob("*.safetensors")).write_bytes(NO_WEIGHTS[name][0])
    with pytest.raises(UserError, match=NO_WEIGHTS[name][1]):
        hydra(checkpoint=model)


@pytest.mark.parametrize(
    "file", ["transformer/config.json", "scheduler/scheduler_config.json", "model_index.json", "x"]
)
@pytest.mark.parametrize("kind", ["pipe", "device", "pipe behind a link"])
def test_pipes_and_devices_in_a_model_folder_hang_nothing(model: Path, tmp_path: Path, file: str, kind: str) -> None:
    (model / file).unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(model / file)
    elif kind == "device":
        (model / file).symlink_to("/dev/zero")
    else:
        os.mkfifo(tmp_path / "pipe")
        (model / file).symlink_to(tmp_path / "pipe")
    with pytest.raises(UserError, match=r"no ordinary file|no usable pipeline|cannot be read"):
        hydra(checkpoint=model)


@pytest.mark.parametrize("kind", [torch.int8, torch.bool, torch.complex64, torch.float8_e4m3fn])
def test_weights_in_formats_that_a_cast_would_round_are_refused(model: Path, tmp_path: Path, kind) -> None:
    change(model, "vae", lambda tensors: tensors.update({n: t.to(kind) for n, t in tensors.items()}))
    with pytest.raises(UserError, match=r"no usable pipeline.* holds "):
        hydra(checkpoint=model)
    if kind is not torch.float8_e4m3fn:
        save_file({"a": torch.ones(3).to(kind)}, tmp_path / "w.safetensors")
        with pytest.raises(UserError, match=f"hold a as {kind}"):
            read_state(tmp_path / "w.safetensors")


def test_what_a_model_computes_must_be_finite() -> None:
    with pytest.raises(SampleError, match="NaN or infinity"):
        to_video(torch.full((1, 3, 1, 2, 2), float("nan")))
    assert to_video(torch.full((1, 3, 1, 2, 2), 0.5)).tolist() == [[[[191] * 3] * 2] * 2]


STRANGE = """
from pathlib import Path
Path(__file__).with_name("ran").touch()
def payload(*args, **kwargs): ...
class Payload: ...
"""


def strange_module(folder: Path, monkeypatch) -> Path:
    """A module that leaves a mark when it is imported, in the working folder and on the path."""
    (folder / "strange.py").write_text(STRANGE)
    (folder / "hubconf.py").write_text(STRANGE)
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    return folder / "ran"


RECORDS = (
    {"model": "strange:payload"},
    {"model": "torch.hub:load", "options": {"repo_or_dir": ".", "model": "payload", "source": "local"}},
    {"model": "os:system", "options": {"command": "touch ran"}},
    {"model": "runpy:run_path", "options": {"path_name": "strange.py"}},
    {"model": "./elsewhere"},
    {"model": ["strange:payload"]},
    {"model": None},
    ["strange:payload"],
    {"model": "hydra", "options": "steps"},
    {"model": "hydra", "options": {"no_such": 1}},
    {"model": "hydra", "options": {"steps": "many"}},
)


@pytest.mark.parametrize("record", RECORDS, ids=str)
def test_a_model_folder_runs_nothing(tmp_path: Path, monkeypatch, record) -> None:
    ran = strange_module(tmp_path, monkeypatch)
    for name, content in (("model", record), ("elsewhere", {"model": "strange:payload"})):
        (tmp_path / name).mkdir()
        (tmp_path / name / MODEL_FILE).write_text(json.dumps(content))
    with pytest.raises(UserError):
        create_model(str(tmp_path / "model"), profile="mini", device="cpu")
    assert not ran.exists()


INDICES = (
    ["strange", "Payload"], ["strange.py", "Payload"], ["os", "system"], ["torch.hub", "load"],
    ["reference_model/../strange", "Payload"], ["strange"], [1, 2], ["diffusers", "a.b"], [["strange"], "Payload"],
)  # fmt: skip


@pytest.mark.parametrize("part", ["transformer", "scheduler", "text_encoder", "another"])
@pytest.mark.parametrize("named", INDICES, ids=str)
def test_an_index_imports_nothing_of_a_stranger(model: Path, tmp_path: Path, monkeypatch, part: str, named) -> None:
    ran = strange_module(tmp_path, monkeypatch)
    index = json.loads((model / "model_index.json").read_text())
    (model / "model_index.json").write_text(json.dumps({**index, part: named}))
    with pytest.raises(UserError, match="no usable pipeline"):
        hydra(checkpoint=model)
    assert not ran.exists()


@pytest.mark.parametrize("kind", ["strange:Payload", "os:system", "hydra:x", "", 7, None, ["strange:Payload"]])
def test_a_configuration_imports_nothing_of_a_stranger(model: Path, tmp_path: Path, monkeypatch, kind) -> None:
    ran = strange_module(tmp_path, monkeypatch)
    path = model / "transformer" / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "memory_settings": {**config["memory_settings"], "kind": kind}}))
    with pytest.raises(UserError, match="no usable pipeline"):
        hydra(checkpoint=model)
    assert not ran.exists()


WRONG_KINDS = (
    ("model_index.json", "guidance", "high"), ("model_index.json", "steps", None), ("model_index.json", "width", True),
    ("model_index.json", "steps", 10**30), ("model_index.json", "negative_prompt", 7),
    ("transformer/config.json", "depths", [0.0, "\x1b[31m"]), ("transformer/config.json", "patch_size", [1, 2]),
    ("transformer/config.json", "eps", "small"), ("transformer/config.json", "positions", 3),
    ("vae/config.json", "encoder_depth", "2"), ("scheduler/scheduler_config.json", "shift", [5.0]),
    ("scheduler/scheduler_config.json", "num_train_timesteps", "many"), ("text_encoder/config.json", "dim", {}),
)  # fmt: skip


@pytest.mark.parametrize(("file", "key", "value"), WRONG_KINDS, ids=lambda v: str(v)[:20])
def test_settings_of_another_kind_are_refused_before_anything_is_made(model: Path, file: str, key: str, value) -> None:
    content = json.loads((model / file).read_text())
    assert key in content, sorted(content)
    (model / file).write_text(json.dumps({**content, key: value}))
    with pytest.raises(UserError, match=f"no usable pipeline.*: {key} is .*expected"):
        hydra(checkpoint=model)


IMPOSSIBLE = (
    ("depths", []),
    ("depths", [-1.0]),
    ("field_of_view", 0.0),
    ("field_of_view", 1e308),
    ("eps", -1e-6),
    ("bands", 0),
)


@pytest.mark.parametrize(("key", "value"), IMPOSSIBLE, ids=str)
def test_settings_that_cannot_be_are_refused_before_a_clip_is_generated(model: Path, key: str, value) -> None:
    """An empty list of depths divided by zero in the middle of a clip."""
    path = model / "transformer" / "config.json"
    content = json.loads(path.read_text())
    assert key in content
    path.write_text(json.dumps({**content, key: value}))
    with pytest.raises(UserError, match=f"no usable pipeline.*{key}"):
        hydra(checkpoint=model)


def test_auto_map_and_custom_code_are_not_followed(model: Path, tmp_path: Path, monkeypatch) -> None:
    ran = strange_module(tmp_path, monkeypatch)
    (model / "pipeline.py").write_text(STRANGE)
    index = json.loads((model / "model_index.json").read_text())
    index["_class_name"] = ["pipeline", "Payload"]
    (model / "model_index.json").write_text(json.dumps(index))
    for part in ("transformer", "vae", "text_encoder"):
        path = model / part / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "auto_map": {"AutoModel": "strange.Payload"}}))
    with contextlib.suppress(UserError):
        hydra(checkpoint=model)
    assert not ran.exists() and not (model / "ran").exists()


def test_counts_of_payloads_are_told() -> None:
    """The threat model says how many were tried; this is the number."""
    tried = collections.Counter(
        pickles=len(NAMES) * 6 + len(NAMES) * 4, folders=len(RECORDS) + 4 * len(INDICES) + 7 + 1
    )
    assert tried == {"pickles": 70, "folders": 55}
