"""Downloads through huggingface-hub's real client from a local server with the Hub's routes, and what goes wrong."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hmbench.data.hub.download import DownloadReport, DownloadRequest, download
from hmbench.data.hub.errors import HubError
from hmbench.data.hub.extract import SAMPLE_FILES, complete_samples
from hmbench.data.hub.stream import DigestError, Patience
from hmbench.data.splits import in_split
from hmbench.errors import UserError
from hmbench.files import read_json, write_json
from tests.hm_world_archive import IDS, file_bytes, make_archive, split_parts
from tests.hub_server import Fault, HubServer, hub_server

REPO = "KlingTeam/HM-World"
ARCHIVE = make_archive()
PARTS = split_parts(ARCHIVE)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cache folders of this test only; huggingface-hub reads the environment once, at import."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf" / "hub"))
    monkeypatch.setattr(constants, "HF_ASSETS_CACHE", str(tmp_path / "hf" / "assets"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "hf" / "token"))
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with hub_server({f"datasets/{REPO}": {"README.md": b"card", **PARTS}}) as server:
        yield server


def request(hub: HubServer, out: Path, **changes: object) -> DownloadRequest:
    patience = Patience(tries=4, base=0.01, timeout=5.0, longest=30.0, sleep=hub.waits.append)
    base = DownloadRequest(out=out, split="all", endpoint=hub.url, patience=patience)
    return replace(base, **changes)  # type: ignore[arg-type]


def assert_right(out: Path, ids: tuple[str, ...]) -> None:
    assert tuple(complete_samples(out)) == tuple(sorted(ids))
    for sample in ids:
        assert {p.name: p.read_bytes() for p in (out / sample).iterdir()} == {
            name: file_bytes(sample, name) for name in SAMPLE_FILES
        }


def test_everything_once(hub: HubServer, tmp_path: Path) -> None:
    report = download(request(hub, tmp_path / "out"))
    assert_right(tmp_path / "out", IDS)
    assert report.whole_stream and report.captions and report.commit == "c" * 40
    assert report.parts_verified == tuple(sorted(PARTS)) and report.bytes_read == len(ARCHIVE)
    assert (tmp_path / "out" / "caption.txt").read_text().startswith(f"{IDS[0]}\ta caption")
    record = read_json(tmp_path / "out" / "download.json")
    assert record["listing"]["commit"] == "c" * 40 and len(record["listing"]["parts"]) == 5
    requests = len(hub.log)
    again = download(request(hub, tmp_path / "out"))
    assert len(hub.log) == requests and again.bytes_read == 0 and again.present == tuple(sorted(IDS))


def test_one_sample_reads_only_the_parts_it_needs(hub: HubServer, tmp_path: Path) -> None:
    report = download(request(hub, tmp_path / "out", samples=1))
    assert_right(tmp_path / "out", IDS[:1])
    assert report.parts_read == ("HM-World_aa",) and set(hub.served) <= {"HM-World_aa"}
    assert not any("HM-World_ab" in line for line in hub.log)
    assert report.parts_verified == () and not report.whole_stream and not report.captions


def test_extra_disk(tmp_path: Path) -> None:
    """Nothing but samples and two small records is ever on disk, neither in the folder nor in the caches."""
    sizes: list[int] = []
    archive = make_archive(IDS, files=SAMPLE_FILES)
    with hub_server({f"datasets/{REPO}": split_parts(archive, 7)}) as hub:

        class Watcher:
            def on_start(self, total_bytes: int, wanted: int | None, present: int) -> None: ...
            def on_bytes(self, count: int) -> None:
                sizes.append(sum(p.stat().st_size for p in tmp_path.rglob("*") if p.is_file()))

            def on_sample(self, sample_id: str) -> None: ...

        download(request(hub, tmp_path / "out"), Watcher())
    final = sum(p.stat().st_size for p in (tmp_path / "out").rglob("*") if p.is_file())
    samples = len(IDS) * len(SAMPLE_FILES) * 6000
    assert max(sizes) <= samples * 1.05 and final <= samples * 1.05


@pytest.mark.parametrize("cut", [0, 1, 13, 30_000, 65_537, 99_000])
def test_cut_connections_are_survived(hub: HubServer, tmp_path: Path, cut: int) -> None:
    hub.faults += [Fault("/cdn/", cut_after=cut, times=1), Fault("/cdn/.*_ac", cut_after=cut // 2, times=2)]
    report = download(request(hub, tmp_path / "out"))
    assert_right(tmp_path / "out", IDS)
    assert report.bytes_read == len(ARCHIVE) and len(report.parts_verified) == 5
    assert len(hub.waits) == 3


def test_rate_limits_are_obeyed(hub: HubServer, tmp_path: Path) -> None:
    hub.faults += [
        Fault("/cdn/", status=429, headers={"Retry-After": "7"}),
        Fault("/cdn/", status=503, headers={"Retry-After": "3"}),
        Fault("/resolve/", status=500),
    ]
    download(request(hub, tmp_path / "out", samples=2))
    assert_right(tmp_path / "out", IDS[:2])
    assert 7.0 in hub.waits and 3.0 in hub.waits and len(hub.waits) == 3


def test_what_is_not_survived_is_said(hub: HubServer, tmp_path: Path) -> None:
    hub.faults.append(Fault("/cdn/", status=429, headers={"Retry-After": "3600"}))
    with pytest.raises(HubError, match="asks to wait 3600 seconds before part HM-World_aa at byte 0"):
        download(request(hub, tmp_path / "out"))
    hub.faults.append(Fault("_ab", status=503, times=99))
    with pytest.raises(HubError, match=r"Gave up on part HM-World_ab at byte 0 after 4 failures .* HTTP 503"):
        download(request(hub, tmp_path / "out"))
    kept = complete_samples(tmp_path / "out")
    assert 0 < len(kept) < len(IDS)
    hub.faults = [Fault("/cdn/", status=403)]
    with pytest.raises(HubError, match="refuses to serve part HM-World_aa at byte 0: HTTP 403"):
        download(request(hub, tmp_path / "out"))
    hub.faults = [Fault("/cdn/", ignore_range=True)]
    with pytest.raises(HubError, match="answered status 200 and range 'nothing' to a request for bytes 0-"):
        download(request(hub, tmp_path / "out"))
    hub.faults.clear()
    report = download(request(hub, tmp_path / "out"))
    assert_right(tmp_path / "out", IDS)
    assert set(kept) <= set(report.present)


def test_wrong_digest_withdraws_what_came_from_the_part(hub: HubServer, tmp_path: Path) -> None:
    hub.listed_digests["HM-World_ab"] = "0" * 64
    with pytest.raises(
        DigestError, match=r"HM-World_ab has sha256 .* the Hub lists 0000.* Removed \d samples"
    ) as caught:
        download(request(hub, tmp_path / "out"))
    kept = complete_samples(tmp_path / "out")
    assert kept and not any(sample in str(caught.value) for sample in kept)
    first_part = len(PARTS["HM-World_aa"]) // (len(SAMPLE_FILES) * 6000)
    assert len(kept) <= first_part  # all bytes of what is left lie in the part that was verified
    assert_right(tmp_path / "out", tuple(kept))


def test_flipped_byte_and_truncated_part(hub: HubServer, tmp_path: Path) -> None:
    hub.faults.append(Fault("/cdn/.*_ac", flip_byte=5000))
    with pytest.raises(UserError, match=r"HM-World_ac has sha256|compressed stream is damaged|damaged header"):
        download(request(hub, tmp_path / "out"))
    assert_right(tmp_path / "out", tuple(complete_samples(tmp_path / "out")))
    folder = local_parts(tmp_path / "parts")
    (folder / "HM-World_ae").write_bytes(PARTS["HM-World_ae"][:-900])
    with pytest.raises(UserError, match=r"stream ends early.*truncated or missing"):
        download(DownloadRequest(out=tmp_path / "out2", parts=folder, split="all"))
    (folder / "HM-World_ab").unlink()
    with pytest.raises(UserError, match=r"damaged|ends"):
        download(DownloadRequest(out=tmp_path / "out3", parts=folder, split="all"))


def local_parts(folder: Path) -> Path:
    folder.mkdir()
    for name, content in PARTS.items():
        (folder / name).write_bytes(content)
    return folder


def test_splits_are_chosen_while_streaming(tmp_path: Path) -> None:
    ids = tuple(f"{i:05d}_City_loc1_Run_Pan_1" for i in range(150))
    parts = tmp_path / "parts"
    parts.mkdir()
    (parts / "HM-World_00").write_bytes(make_archive(ids, files=SAMPLE_FILES[:5]))
    for split in ("test", "train"):
        report = download(DownloadRequest(out=tmp_path / split, parts=parts, split=split))
        expected = {i for i in ids if in_split(i, split)}
        assert set(report.extracted) == expected == set(complete_samples(tmp_path / split)) and expected


def test_kill_and_resume(hub: HubServer, tmp_path: Path) -> None:
    class Killed(BaseException): ...

    class Killer:
        def on_start(self, total_bytes: int, wanted: int | None, present: int) -> None: ...
        def on_bytes(self, count: int) -> None: ...
        def on_sample(self, sample_id: str) -> None:
            if sample_id == IDS[3]:
                raise Killed

    out = tmp_path / "out"
    with pytest.raises(Killed):
        download(request(hub, out), Killer())
    assert_right(out, IDS[:4])
    times = {p: p.stat().st_mtime_ns for p in out.glob("*/*.mp4")}
    (out / ".partial" / IDS[5]).mkdir(parents=True)  # what a kill -9 leaves
    (out / ".partial" / IDS[5] / "cond.mp4").write_bytes(b"half")
    report = download(request(hub, out))
    assert report.extracted == IDS[4:] and set(report.present) == set(IDS[:4])
    assert_right(out, IDS)
    assert not (out / ".partial").exists()
    assert all(path.stat().st_mtime_ns == before for path, before in times.items())


def test_another_commit_does_not_mix(hub: HubServer, tmp_path: Path) -> None:
    download(request(hub, tmp_path / "out", samples=1))
    hub.commits["main"] = "d" * 40
    with pytest.raises(UserError, match="holds samples of commit cccccccccccc, 'main' is now dddddddddddd"):
        download(request(hub, tmp_path / "out", samples=2))
    hub.commits["old"] = "c" * 40
    assert len(download(request(hub, tmp_path / "out", samples=2, revision="c" * 40)).extracted) == 1


def test_kept_parts_are_read_again_without_a_network(hub: HubServer, tmp_path: Path, offline: None) -> None:
    """`offline` turns HF_HUB_OFFLINE on when called; see the fixture."""
    download(request(hub, tmp_path / "a", keep_parts=True))
    served = dict(hub.served)
    assert served == {name: len(content) for name, content in PARTS.items()}
    from huggingface_hub import constants

    constants.HF_HUB_OFFLINE = True
    report = download(request(hub, tmp_path / "b"))
    assert hub.served == served and report.bytes_read == len(ARCHIVE)
    assert_right(tmp_path / "b", IDS)
    with pytest.raises(
        UserError, match=r"Offline mode is on .* the parts of KlingTeam/HM-World at 'v2' were never listed"
    ):
        download(request(hub, tmp_path / "c", revision="v2"))
    shutil.rmtree(tmp_path / "hf" / "hub")
    with pytest.raises(HubError, match=r"Offline mode is on .* part HM-World_aa is not in huggingface-hub's cache"):
        download(request(hub, tmp_path / "c"))


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)


def test_parts_kept_in_a_folder(hub: HubServer, tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    first = download(request(hub, tmp_path / "a", keep_parts=True, parts=folder, samples=1))
    assert first.parts_read == ("HM-World_aa",) and (folder / "HM-World_aa").read_bytes() == PARTS["HM-World_aa"]
    download(request(hub, tmp_path / "a", keep_parts=True, parts=folder))
    assert_right(tmp_path / "a", IDS)
    report = download(DownloadRequest(out=tmp_path / "b", parts=folder, split="all"))
    assert len(report.parts_verified) == 5  # the listing beside the parts brings the Hub's digests
    (folder / "HM-World_ad").write_bytes(b"\0" * len(PARTS["HM-World_ad"]))
    with pytest.raises(UserError, match=r"HM-World_ad has sha256|damaged"):
        download(DownloadRequest(out=tmp_path / "c", parts=folder, split="all"))


def test_extracted_folder_as_source(hub: HubServer, tmp_path: Path) -> None:
    download(request(hub, tmp_path / "all" / "HM-World"))
    report = download(DownloadRequest(out=tmp_path / "few", parts=tmp_path / "all", split="all", samples=2))
    assert_right(tmp_path / "few", tuple(sorted(IDS)[:2]))
    assert report.captions and report.bytes_read == 0


def test_access(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with hub_server({f"datasets/{REPO}": dict(PARTS)}, token="hf_right") as hub:
        with pytest.raises(
            HubError, match=r"Could not list the files of KlingTeam/HM-World at 'main': .*401"
        ) as caught:
            download(request(hub, tmp_path / "out"))
        assert "HF_TOKEN" in str(caught.value)
        monkeypatch.setenv("HF_TOKEN", "hf_right")
        download(request(hub, tmp_path / "out", samples=1))
        with pytest.raises(HubError, match=r"Could not list the files of no/such"):
            download(request(hub, tmp_path / "out", repo="no/such"))
        with pytest.raises(HubError, match=r"at 'v9'.*404|Revision Not Found"):
            download(request(hub, tmp_path / "out", revision="v9"))
    expected = pytest.raises(UserError, match=r"no file is named HM-World_\* \(found: README.md\)")
    with hub_server({f"datasets/{REPO}": {"README.md": b"card"}}) as hub, expected:
        download(request(hub, tmp_path / "out"))


def test_incomplete_samples_and_odd_layouts(tmp_path: Path) -> None:
    def run(name: str, archive: bytes, **changes: object) -> DownloadReport:
        parts = tmp_path / f"parts-{name}"
        parts.mkdir()
        (parts / "HM-World.tar.gz.000").write_bytes(archive)
        return download(DownloadRequest(out=tmp_path / name, parts=parts, split="all", **changes))  # type: ignore[arg-type]

    few = run("no-check", make_archive(IDS[:3], files=SAMPLE_FILES[:5]), samples=2)
    assert few.extracted == IDS[:2] and not few.incomplete
    assert len(list((tmp_path / "no-check" / IDS[0]).iterdir())) == 5
    broken = run("no-camera", make_archive(IDS[:2], files=("cond.mp4", "tgt.mp4")))
    assert broken.extracted == () and broken.incomplete == {i: ["camera.json"] for i in IDS[:2]}
    sorted_by_file = run("by-file", make_archive(IDS[:4], by_file=True, captions="first"), samples=2)
    assert sorted_by_file.captions and set(sorted_by_file.extracted) <= set(IDS[:4])
    every = run("by-file-all", make_archive(IDS[:4], by_file=True))
    assert_right(tmp_path / "by-file-all", IDS[:4])
    assert len(every.extracted) == 4
    extra = run("extra", make_archive(IDS[:1], files=(*SAMPLE_FILES, "depth.exr")))
    assert extra.passed_over == {"depth.exr": 1}


def test_full_disk_and_second_process(hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from filelock import FileLock

    (tmp_path / "out").mkdir()
    taken = FileLock(tmp_path / "out" / ".download.lock")
    with taken, pytest.raises(UserError, match="Another download is writing to"):
        download(request(hub, tmp_path / "out"))
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1 << 20))
    with pytest.raises(UserError, match=r"has 1 MiB free, .*cond.mp4 needs 0 MiB more"):
        download(request(hub, tmp_path / "out"))


def test_environment_is_huggingface_hubs(hub: HubServer, tmp_path: Path) -> None:
    """HF_ENDPOINT, HF_HOME and HF_HUB_OFFLINE in a process of its own, as a user sets them."""
    script = (
        "import sys; from pathlib import Path; from hmbench.data.hub.download import *; "
        "print(len(download(DownloadRequest(out=Path(sys.argv[1]), split='all', keep_parts=True)).extracted))"
    )
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home")}

    def run(out: str, **extra: str) -> str:
        command = [sys.executable, "-c", script, str(tmp_path / out)]
        done = subprocess.run(command, env={**environment, **extra}, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    assert run("a") == "12"
    assert (tmp_path / "home" / "hub" / "datasets--KlingTeam--HM-World").is_dir()
    requests = len(hub.log)
    assert run("b", HF_HUB_OFFLINE="1") == "12"
    assert len(hub.log) == requests


def test_a_cut_file_is_never_published(tmp_path: Path) -> None:
    """The stream ends inside the second sample's mask, when all that a sample cannot do without is there."""
    order = ("cond.mp4", "tgt.mp4", "camera.json", "cond_mask.mp4", "tgt_mask.mp4")
    parts = tmp_path / "parts"
    parts.mkdir()
    whole = make_archive(IDS[:3], files=order)
    (parts / "HM-World_aa").write_bytes(whole[: int(len(whole) * (5 + 3.5) / 15)])
    with pytest.raises(UserError, match="ends"):
        download(DownloadRequest(out=tmp_path / "out", parts=parts, split="all"))
    assert complete_samples(tmp_path / "out") == [IDS[0]]
    assert sorted(p.name for p in (tmp_path / "out" / IDS[0]).iterdir()) == sorted(order)
    assert not (tmp_path / "out" / ".partial").exists()


def test_listed_sizes_are_checked_without_digests(tmp_path: Path) -> None:
    folder = local_parts(tmp_path / "parts")
    sizes = [{"name": name, "size": len(content)} for name, content in sorted(PARTS.items())]
    sizes[4]["size"] += 7  # the listed part is longer, the archive in it is whole
    write_json(folder / "parts.json", {"repo": "x", "revision": "", "commit": "", "parts": sizes, "loose": []})
    with pytest.raises(DigestError, match=r"Part HM-World_ae has \d+ bytes, \d+ are listed.*truncated"):
        download(DownloadRequest(out=tmp_path / "out", parts=folder, split="all"))


def test_a_process_killed_at_once_goes_on(hub: HubServer, tmp_path: Path) -> None:
    """SIGKILL in the middle of a sample: no lock, half file or half sample stands in the way of the next call."""
    script = """
import os, signal, sys
from pathlib import Path
from hmbench.data.hub import extract
from hmbench.data.hub.download import DownloadRequest, download

write, calls = extract.Extractor._write, []

def dying(self, path, member):
    calls.append(path)
    if len(calls) == 17:  # the third sample's third file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(member.read(100))
        os.kill(os.getpid(), signal.SIGKILL)
    write(self, path, member)

extract.Extractor._write = dying
download(DownloadRequest(out=Path(sys.argv[1]), split="all", parts=Path(sys.argv[2])))
"""
    parts, out = local_parts(tmp_path / "parts"), tmp_path / "out"
    done = subprocess.run([sys.executable, "-c", script, str(out), str(parts)], check=False)
    assert done.returncode == -9
    assert_right(out, IDS[:2])
    assert [p.name for p in (out / ".partial").iterdir()] == [IDS[2]]
    report = download(DownloadRequest(out=out, split="all", parts=parts))
    assert report.extracted == IDS[2:]
    assert_right(out, IDS)


def parts_folder(folder: Path, archives: dict[str, bytes]) -> Path:
    folder.mkdir()
    for name, content in archives.items():
        (folder / name).write_bytes(content)
    return folder


def test_parts_that_are_archives_of_their_own(tmp_path: Path) -> None:
    """Each part a whole tar.gz with its own captions: all of them are read, not the first alone."""
    archives = {f"HM-World_{n}.tar.gz": make_archive(IDS[4 * n : 4 * n + 4]) for n in range(3)}
    parts = parts_folder(tmp_path / "parts", archives)
    report = download(DownloadRequest(out=tmp_path / "out", split="all", parts=parts))
    assert_right(tmp_path / "out", IDS)
    assert report.extracted == IDS and report.whole_stream
    captions = (tmp_path / "out" / "caption.txt").read_text().splitlines()
    assert captions == [f"{i}\ta caption of {i}" for i in IDS]
    download(DownloadRequest(out=tmp_path / "out", split="all", parts=parts, to_the_end=True))
    assert (tmp_path / "out" / "caption.txt").read_text().splitlines() == captions


def test_what_follows_an_archive_and_is_none_is_passed_over(tmp_path: Path) -> None:
    whole = gzip.decompress(make_archive(IDS[:2]))
    parts = parts_folder(tmp_path / "parts", {"HM-World_aa": gzip.compress(whole + b"a note of somebody's" * 100)})
    assert download(DownloadRequest(out=tmp_path / "out", split="all", parts=parts)).extracted == IDS[:2]


def test_one_name_under_several_folders(tmp_path: Path) -> None:
    """Three folders with a sample of the same name: three samples, and it is said."""
    archives = {f"HM-World_{r}": make_archive(IDS[:2], root=f"HM-World/{r}/") for r in ("a", "b", "c")}
    parts = parts_folder(tmp_path / "parts", archives)
    report = download(DownloadRequest(out=tmp_path / "out", split="all", parts=parts))
    first, second = IDS[:2]
    assert report.extracted == (first, second, f"b-{first}", f"b-{second}", f"c-{first}", f"c-{second}")
    assert report.renamed == {f"HM-World/{r}/{i}": f"{r}-{i}" for r in ("b", "c") for i in (first, second)}
    assert (tmp_path / "out" / f"c-{first}" / "tgt.mp4").read_bytes() == file_bytes(first, "tgt.mp4")
    again = DownloadRequest(out=tmp_path / "out", split="all", parts=parts, to_the_end=True)
    shutil.rmtree(tmp_path / "out" / f"b-{second}")
    assert download(again).extracted == (f"b-{second}",)  # the same names as before


def test_parts_of_another_prefix(hub: HubServer, tmp_path: Path) -> None:
    parts = parts_folder(tmp_path / "parts", split_parts(ARCHIVE, prefix="clips.part-"))
    with pytest.raises(UserError, match=r"no file is named HM-World_\*.*--prefix NAME"):
        download(DownloadRequest(out=tmp_path / "out", split="all", parts=parts))
    download(DownloadRequest(out=tmp_path / "out", split="all", parts=parts, prefix="clips.part-"))
    assert_right(tmp_path / "out", IDS)
    with pytest.raises(UserError, match=r"no file is named other\*"):
        download(request(hub, tmp_path / "hub", prefix="other"))
    assert len(download(request(hub, tmp_path / "hub", prefix="HM-World_", samples=1)).extracted) == 1
