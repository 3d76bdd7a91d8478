"""Archives that mean harm: none escapes, each gets its sentence, and honest ones read as `tarfile` reads them."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from hmbench.data.hub.archive import ArchiveError, Limits, read_archive
from hmbench.data.hub.download import DownloadRequest, download
from hmbench.data.hub.extract import SAMPLE_FILES
from tests.hm_world_archive import IDS, file_bytes, make_archive

GOOD = IDS[0]


def tar_of(*entries: tuple[tarfile.TarInfo, bytes], tar_format: int = tarfile.GNU_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tar_format) as archive:
        for info, content in entries:
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def entry(
    name: str, content: bytes = b"x", kind: bytes = tarfile.REGTYPE, link: str = ""
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    info.size = len(content) if kind == tarfile.REGTYPE else 0
    return info, content


def patched_header(**fields: int | bytes) -> bytes:
    """One tar header whose raw fields are set, with a correct checksum."""
    header = bytearray(tar_of(entry(f"HM-World/{GOOD}/cond.mp4"))[:512])
    places = {"name": (0, 100), "size": (124, 12), "type": (156, 1)}
    for key, value in fields.items():
        start, length = places[key]
        raw = value if isinstance(value, bytes) else b"%0*o" % (length - 1, value)
        header[start : start + length] = raw.ljust(length, b"\0")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


TARGET = f"HM-World/{GOOD}"
HOSTILE = {
    "absolute path": (tar_of(entry("/tmp/hmbench-escape/cond.mp4")), "has an absolute path"),
    "parent path": (tar_of(entry("HM-World/../../escape/cond.mp4")), "leads out of its folder"),
    "parent as sample": (tar_of(entry("HM-World/../cond.mp4")), "leads out of its folder"),
    "pax parent path": (
        tar_of(entry("../" * 60 + "x/cond.mp4"), tar_format=tarfile.PAX_FORMAT),
        "leads out of its folder",
    ),
    "gnu long absolute": (tar_of(entry("/" + "a/" * 120 + "cond.mp4")), "has an absolute path"),
    "symbolic link": (tar_of(entry(f"{TARGET}/cond.mp4", b"", tarfile.SYMTYPE, "/etc/passwd")), "is a symbolic link"),
    "link as folder": (tar_of(entry(TARGET, b"", tarfile.SYMTYPE, "/tmp")), "is a symbolic link"),
    "hard link": (tar_of(entry(f"{TARGET}/cond.mp4", b"", tarfile.LNKTYPE, "/etc/passwd")), "is a hard link"),
    "character device": (tar_of(entry(f"{TARGET}/cond.mp4", b"", tarfile.CHRTYPE)), "is a character device"),
    "block device": (tar_of(entry(f"{TARGET}/cond.mp4", b"", tarfile.BLKTYPE)), "is a block device"),
    "pipe": (tar_of(entry(f"{TARGET}/cond.mp4", b"", tarfile.FIFOTYPE)), "is a pipe"),
    "gnu sparse": (patched_header(type=tarfile.GNUTYPE_SPARSE) + bytes(1024), "is a sparse file"),
    "unknown type": (patched_header(type=b"Z") + bytes(1024), "is of the unknown type"),
    "huge size": (patched_header(size=8**11 - 1) + bytes(1024), "more than the 1073741824 that any clip needs"),
    "duplicate": (tar_of(entry(f"{TARGET}/cond.mp4"), entry(f"{TARGET}/cond.mp4", b"y")), "comes twice"),
    "duplicate by case": (
        tar_of(entry(f"{TARGET}/cond.mp4"), entry(f"HM-World/{GOOD.upper()}/COND.mp4")),
        "comes twice",
    ),
    "duplicate by dot": (tar_of(entry(f"{TARGET}/cond.mp4"), entry(f"HM-World/./{GOOD}/cond.mp4")), "comes twice"),
    "not UTF-8": (patched_header(name=f"HM-World/{GOOD}".encode() + b"\xff\xfe/cond.mp4") + bytes(1024), "not UTF-8"),
    "control character": (tar_of(entry("HM-World/a\nb/cond.mp4")), "has control characters"),
    "backslash": (tar_of(entry("HM-World/..\\..\\x/cond.mp4")), "has \\ in its name"),
    "drive": (tar_of(entry("C:/x/cond.mp4")), "has : in its name"),
    "long name": (tar_of(entry(f"HM-World/{'a' * 250}/cond.mp4")), "more than 200 bytes"),
    "hidden sample": (tar_of(entry("HM-World/.ssh/cond.mp4")), "cannot be a sample id"),
    "the folder of unfinished samples": (tar_of(entry("HM-World/.partial/cond.mp4")), "cannot be a sample id"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_escape(name: str, tmp_path: Path) -> None:
    content, sentence = HOSTILE[name]
    parts, out = tmp_path / "parts", tmp_path / "in" / "out"
    parts.mkdir()
    (parts / "HM-World_aa").write_bytes(gzip.compress(content))
    before = snapshot(tmp_path, out)
    with pytest.raises(ArchiveError, match=r"The archive member .*") as caught:
        download(DownloadRequest(out=out, parts=parts, split="all"))
    assert sentence in str(caught.value)
    assert snapshot(tmp_path, out) == before
    assert not list(out.rglob("*.mp4"))
    assert not Path("/tmp/hmbench-escape").exists()


@pytest.mark.parametrize("name", HOSTILE)
def test_refused_members_can_be_left_out(name: str, tmp_path: Path) -> None:
    """Skipping writes nothing of the refused member; whatever is extracted lies inside as a plain file."""
    content, sentence = HOSTILE[name]
    parts, out = tmp_path / "parts", tmp_path / "in" / "out"
    parts.mkdir()
    (parts / "HM-World_aa").write_bytes(content)  # not compressed: accepted as well
    before = snapshot(tmp_path, out)
    try:
        report = download(DownloadRequest(out=out, parts=parts, split="all", skip_refused=True))
        assert any(sentence in line for line in report.refused)
    except ArchiveError as error:  # skipping 8 GiB of a 1 KiB archive ends it
        assert name == "huge size" and "ends in the middle" in str(error)
    assert snapshot(tmp_path, out) == before
    assert not [p for p in out.rglob("*") if p.is_symlink() or not (p.is_file() or p.is_dir())]


def snapshot(root: Path, out: Path) -> set[str]:
    return {str(p) for p in root.rglob("*") if out not in p.parents and p not in (out, *out.parents)}


def messages(content: bytes, **limits: float) -> str:
    with pytest.raises(ArchiveError) as caught:
        for item in read_archive(io.BytesIO(content), limits=Limits(**limits)):  # type: ignore[arg-type]
            while item.read(1 << 20):
                pass
    return str(caught.value)


def test_bombs() -> None:
    zeros = gzip.compress(tar_of(entry("HM-World/a/cond.mp4", bytes(8 << 20))))
    assert "it is a decompression bomb" in messages(zeros, slack=1 << 20)
    many = tar_of(*[entry(f"HM-World/{i}/cond.mp4") for i in range(30)])
    assert "more than 20 members" in messages(many, members=20)
    long_name = tar_of(entry("a/" * 40_000 + "cond.mp4"))
    assert "extended header of 80009 bytes" in messages(long_name)
    piled = (patched_header(type=b"L", size=0)) * 20 + bytes(1024)
    assert "piles up extended headers" in messages(piled)
    damaged_pax = patched_header(type=b"x", size=11) + b"99 path=a\n\n".ljust(512, b"\0") + bytes(1024)
    assert "damaged extended header" in messages(damaged_pax)


def test_damage_has_its_sentence() -> None:
    archive = make_archive(IDS[:2])
    assert "ends early" in messages(archive[: len(archive) // 2])
    flipped = bytearray(archive)
    flipped[-6] ^= 0xFF  # the checksum in gzip's trailer
    assert "stream is damaged" in messages(bytes(flipped))
    plain = gzip.decompress(archive)
    assert "ends in the middle of a file" in messages(plain[:5000])
    assert "damaged header" in messages(plain[:512] + plain[700:])
    assert "not compressed with gzip" in messages(b"\x28\xb5\x2f\xfd" + bytes(600))


@pytest.mark.parametrize("tar_format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("root", ["HM-World/", "./HM-World/", "", "HM-World/" + "long/" * 30, "Wörld/"])
def test_honest_archives_read_as_tarfile_reads_them(tar_format: int, root: str) -> None:
    archive = make_archive(IDS[:3], root=root, tar_format=tar_format)
    with tarfile.open(fileobj=io.BytesIO(archive)) as reference:
        expected = [(m.name.removeprefix("./"), reference.extractfile(m).read()) for m in reference]  # type: ignore[union-attr]
    got = []
    for item in read_archive(io.BytesIO(archive)):
        pieces = []
        while piece := item.read(1000):
            pieces.append(piece)
        got.append((str(item.path), b"".join(pieces)))
    assert got == expected and len(got) == 3 * len(SAMPLE_FILES) + 1


def test_unread_members_are_skipped_and_folders_pass() -> None:
    folder = tarfile.TarInfo("HM-World/")
    folder.type = tarfile.DIRTYPE
    content = tar_of((folder, b""), (folder, b""), entry("HM-World/a/cond.mp4", b"a" * 700), entry("b/tgt.mp4", b"b"))
    items = [(str(m.path), m.read(1) if m.size == 1 else b"") for m in read_archive(io.BytesIO(content))]
    assert items == [("HM-World/a/cond.mp4", b""), ("b/tgt.mp4", b"b")]


def test_extracted_bytes_are_the_archives(tmp_path: Path) -> None:
    parts = tmp_path / "parts"
    parts.mkdir()
    (parts / "HM-World_aa").write_bytes(make_archive(IDS[:2]))
    download(DownloadRequest(out=tmp_path / "out", parts=parts, split="all"))
    for name in SAMPLE_FILES:
        assert (tmp_path / "out" / GOOD / name).read_bytes() == file_bytes(GOOD, name)
