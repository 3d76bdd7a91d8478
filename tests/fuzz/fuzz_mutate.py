"""Seeded changes to files, as broken disks, other tools and hostile people make them."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np

Random = np.random.Generator
HUGE = "9" * 6000
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n"


BYTE_KINDS = "cut flip zeros noise repeat remove insert swap junk text lfs empty".split()  # noqa: SIM905


def mutate_bytes(data: bytes, rng: Random) -> tuple[str, bytes]:
    """What was done, and the changed bytes."""
    size = len(data)
    a, b = sorted(int(v) for v in rng.integers(0, size + 1, 2))
    kind = str(rng.choice(BYTE_KINDS))
    if kind == "cut":
        return f"cut at {a} of {size}", data[:a]
    if kind == "flip":
        changed = bytearray(data)
        for place in rng.integers(0, max(size, 1), int(rng.integers(1, 9))):
            if size:
                changed[int(place)] ^= 1 << int(rng.integers(0, 8))
        return "some bits flipped", bytes(changed)
    if kind in ("zeros", "noise"):
        middle = bytes(b - a) if kind == "zeros" else rng.bytes(b - a)
        return f"{kind} from {a} to {b}", data[:a] + middle + data[b:]
    plain = {
        "repeat": data[:b] + data[a:],
        "remove": data[:a] + data[b:],
        "insert": data[:a] + rng.bytes(int(rng.integers(1, 200))) + data[a:],
        "swap": data[a:] + data[:a],
        "junk": data + rng.bytes(int(rng.integers(1, 5000))),
        "text": b"this is something else\n" * int(rng.integers(1, 100)),
        "lfs": LFS,
        "empty": b"",
    }
    return kind, plain[kind]


def nodes(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of all places in a JSON tree."""
    found = [path]
    if isinstance(value, dict):
        for key, item in value.items():
            found += nodes(item, (*path, key))
    elif isinstance(value, list):
        for number, item in enumerate(value[:40]):
            found += nodes(item, (*path, number))
    return found


ODD: tuple[Callable[[Random], Any], ...] = (
    lambda rng: None,
    lambda rng: True,
    lambda rng: 0,
    lambda rng: -1,
    lambda rng: int(rng.integers(-1000, 1000)),
    lambda rng: 10**30,
    lambda rng: 1e308,
    lambda rng: float("nan"),
    lambda rng: float("inf"),
    lambda rng: "",
    lambda rng: "text",
    lambda rng: "\x1b[31mred\x1b[0m\x00",
    lambda rng: "../../etc/passwd",
    lambda rng: "x" * 100_000,
    lambda rng: [],
    lambda rng: {},
    lambda rng: [[1, 2], [3]],
    lambda rng: [None] * 20,
    lambda rng: {"0": {"0": []}},
    lambda rng: "@HUGE@",
    lambda rng: "@DEEP@",
)


def mutate_json(data: bytes, rng: Random) -> tuple[str, bytes]:
    """A place of the tree replaced, removed, renamed or doubled; now and then the bytes instead."""
    try:
        tree = json.loads(data)
    except ValueError:
        return mutate_bytes(data, rng)
    if rng.random() < 0.15:
        return mutate_bytes(data, rng)
    tree = copy.deepcopy(tree)
    places = nodes(tree)
    path = places[int(rng.integers(len(places)))]
    if not path or rng.random() < 0.05:
        value = ODD[int(rng.integers(len(ODD)))](rng)
        return f"the whole becomes {str(value)[:40]!r}", _dump(value)
    parent = tree
    for key in path[:-1]:
        parent = parent[key]
    kind = str(rng.choice(["odd", "odd", "odd", "remove", "rename", "double"]))
    if kind == "remove":
        del parent[path[-1]]
    elif kind == "rename" and isinstance(parent, dict):
        parent[str(path[-1]) + "x"] = parent.pop(path[-1])
    elif kind == "double":
        parent[path[-1]] = [parent[path[-1]], parent[path[-1]]]
    else:
        value = ODD[int(rng.integers(len(ODD)))](rng)
        kind = f"becomes {str(value)[:40]!r}"
        parent[path[-1]] = value
    return f"{'.'.join(map(str, path))[:60]}: {kind}", _dump(tree)


def _dump(value: Any) -> bytes:
    text = json.dumps(value)
    deep = "[" * 100_000 + "]" * 100_000
    return text.replace('"@HUGE@"', HUGE).replace('"@DEEP@"', deep).encode()


def mutate_lines(data: bytes, rng: Random) -> tuple[str, bytes]:
    """JSON lines: one of them changed, or the bytes."""
    lines = data.splitlines()
    if not lines or rng.random() < 0.2:
        return mutate_bytes(data, rng)
    number = int(rng.integers(len(lines)))
    what, lines[number] = mutate_json(lines[number], rng)
    return f"line {number}: {what}", b"\n".join(lines) + b"\n"


def mutate_text(data: bytes, rng: Random) -> tuple[str, bytes]:
    """Captions: other forms, odd characters, one endless line."""
    kind = int(rng.integers(0, 8))
    if kind == 0:
        return "an endless line", data + b"x" * 300_000 + b"\n"
    if kind == 1:
        return "escapes and nulls", data.replace(b" ", b"\x1b[2J\x00")
    if kind == 2:
        return "a JSON object of odd values", mutate_json(b'{"a": 1, "b": [1, {"c": 2}]}', rng)[1]
    if kind == 3:
        return "deep JSON", b"[" * 100_000
    if kind == 4:
        return "many lines", data * 200
    if kind == 5:
        return "a long caption", data.replace(b"\n", b" y" * 15_000 + b"\n", 1)
    return mutate_bytes(data, rng)


def mutate_video(data: bytes, rng: Random, scratch: Path) -> tuple[str, bytes]:
    """Other bytes, or another video altogether."""
    if rng.random() < 0.5:
        return mutate_bytes(data, rng)
    return other_video(rng, scratch)


SIZES = ((1, 1), (2, 2), (16, 4096), (2048, 16), (17, 31), (48, 80), (48, 80), (48, 80), (80, 48), (96, 160))
CODECS = (
    ("libx264", "yuv420p", ".mp4"), ("libx264rgb", "rgb24", ".mp4"), ("ffv1", "gray", ".mkv"),
    ("mpeg4", "yuv420p", ".avi"), ("mjpeg", "yuvj420p", ".mov"), ("gif", "rgb8", ".gif"),
    ("libvpx", "yuv420p", ".webm"), ("libx264", "yuv420p10le", ".mkv"), ("mpeg2video", "yuv420p", ".ts"),
    ("rawvideo", "rgb24", ".avi"), ("png", "rgb24", ".mov"),
)  # fmt: skip


def other_video(rng: Random, scratch: Path) -> tuple[str, bytes]:
    """A video of another size, length, rate, codec, colour, rotation or content."""
    height, width = SIZES[int(rng.integers(len(SIZES)))]
    codec, stored, suffix = CODECS[int(rng.integers(len(CODECS)))]
    frames = int(rng.choice([1, 2, 8, 9, 9, 9, 10, 18, 40]))
    rate = int(rng.choice([1, 5, 15, 15, 15, 30, 1000]))
    content = str(rng.choice(["noise", "black", "labels", "white"]))
    what = f"{frames} frames of {width}x{height} {content} at {rate} fps, {codec} {stored}"
    path = scratch / f"other{suffix}"
    try:
        with av.open(str(path), "w") as out:
            stream: Any = out.add_stream(codec, rate=rate)
            stream.height, stream.width, stream.pix_fmt = height, width, stored
            if rng.random() < 0.2:
                degrees = int(rng.choice([90, 180, 270, 30]))
                stream.set_display_rotation(degrees)
                what += f", turned by {degrees}"
            if rng.random() < 0.3:
                stream.codec_context.color_trc = int(rng.choice([1, 16, 18, 13]))
                stream.codec_context.colorspace = int(rng.choice([1, 5, 9]))
                what += ", odd colour tags"
            for _ in range(frames):
                image = {
                    "noise": lambda: rng.integers(0, 256, (height, width, 3)),
                    "labels": lambda: rng.integers(0, 5, (height, width, 1)).repeat(3, axis=2),
                    "black": lambda: np.zeros((height, width, 3)),
                    "white": lambda: np.full((height, width, 3), 255),
                }[content]()
                out.mux(stream.encode(av.VideoFrame.from_ndarray(image.astype(np.uint8), format="rgb24")))
            out.mux(stream.encode(None))
        return what, path.read_bytes()
    except Exception as error:  # noqa: BLE001  # an encoder that refuses this mix
        return f"{what} (refused by the encoder: {type(error).__name__})", LFS


def replace_file(path: Path, rng: Random) -> str:
    """Something else in a file's place: nothing, a folder, a loop of links, a pipe."""
    path.unlink()
    kind = str(rng.choice(["missing", "folder", "loop", "pipe", "dangling", "unreadable"]))
    if kind == "folder":
        path.mkdir()
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "dangling":
        path.symlink_to(path.with_name("nowhere"))
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "unreadable":
        path.write_bytes(b"x")
        path.chmod(0)
    return kind


def mutator_of(path: Path) -> Callable[[bytes, Random, Path], tuple[str, bytes]]:
    """How files of this name are changed."""
    suffix = path.suffix
    if suffix in (".mp4", ".mkv"):
        return mutate_video
    simple = {".json": mutate_json, ".jsonl": mutate_lines, ".txt": mutate_text}.get(suffix, mutate_bytes)
    return lambda data, rng, scratch: simple(data, rng)
