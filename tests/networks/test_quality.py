"""pyiqa's networks through `NoReferenceQuality`, on random weights: real architectures, no downloads."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from hmbench.case import Case
from hmbench.errors import UserError
from hmbench.metrics.quality import NETWORKS, NoReferenceQuality
from hmbench.networks.backbones import FILES
from hmbench.networks.pull import SOURCES
from hmbench.types import Intrinsics, Prompt, Sample


def case() -> Case:
    video = np.random.default_rng(0).integers(0, 255, (5, 192, 192, 3), dtype=np.uint8)
    poses = np.tile(np.eye(4), (5, 1, 1))
    lens = Intrinsics(focal=192, width=192, height=192)
    prompt = Prompt(context=video, context_poses=poses, target_poses=poses, caption="", fps=15, intrinsics=lens)
    return Case(Sample(id="s", prompt=prompt, truth=None), video)


def write_niqe(folder: Path) -> Path:
    from scipy.io import savemat

    path = folder / FILES["niqe"]
    path.parent.mkdir(parents=True)
    savemat(path, {"mu_prisparam": np.zeros((1, 36)), "cov_prisparam": np.eye(36)})
    return path


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("given", [True, False])
def test_the_reason_names_a_command_that_fetches_the_network(tmp_path, name, given):
    reason = NoReferenceQuality(name, weights=tmp_path if given else None, device="cpu")(case()).reason
    where = str(tmp_path) if given else "DIR"
    assert f"run: hmbench weights pull {where} --only {name}" in reason
    assert name in {source.name for source in SOURCES}


def test_niqe_gives_a_number_and_prints_nothing(tmp_path, capsys):
    write_niqe(tmp_path)
    score = NoReferenceQuality("niqe", weights=tmp_path, device="cpu")(case())
    assert score.reason is None and score.value > 0 and score.details == {"frames": 2}
    assert capsys.readouterr().out == ""


def test_another_mat_file_is_a_sentence(tmp_path):
    from scipy.io import savemat

    path = write_niqe(tmp_path)
    savemat(path, {"something": np.eye(2)})
    with pytest.raises(UserError, match=r"do not fit the network: there is no 'mu_prisparam'"):
        NoReferenceQuality("niqe", weights=tmp_path, device="cpu")(case())
    path.write_bytes(b"no mat file")
    with pytest.raises(UserError, match=r"niqe_modelparameters\.mat do not fit the network"):
        NoReferenceQuality("niqe", weights=tmp_path, device="cpu")(case())


def test_musiq_reads_its_file_and_no_other(tmp_path, capsys):
    from pyiqa.archs.musiq_arch import MUSIQ

    path = tmp_path / FILES["musiq"]
    path.parent.mkdir()
    torch.manual_seed(0)
    torch.save(MUSIQ(pretrained=False).state_dict(), path)
    assert NoReferenceQuality("musiq", weights=tmp_path, device="cpu")(case()).reason is None
    assert capsys.readouterr().out == ""
    torch.save({"conv.weight": torch.zeros(2)}, path)
    with pytest.raises(UserError, match=r"do not fit the network: .*Missing key"):
        NoReferenceQuality("musiq", weights=tmp_path, device="cpu")(case())


def test_code_in_musiqs_file_is_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "owned",))

    path = tmp_path / FILES["musiq"]
    path.parent.mkdir()
    for content in (pickle.dumps(Evil()), None):
        if content is None:
            torch.save({"a": Evil()}, path)
        else:
            path.write_bytes(content)
        with pytest.raises(UserError, match="cannot be read"):
            NoReferenceQuality("musiq", weights=tmp_path, device="cpu")(case())
    assert not (tmp_path / "owned").exists()
