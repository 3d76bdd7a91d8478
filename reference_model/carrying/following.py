"""Follows subjects through remembered frames and tells where they are in new ones.

What is measured of a subject in a frame are the moments of its pixels. Its *place* is a point in the world that looks
`BODY` metres high from where the camera stands: its depth follows from its height in the picture. A small transformer
over time reads the places that the memory shows and gives those of all times, also of the ones that are still to come.

Everything is relative to the first target camera, as the transformer's cameras are.

Letters: S remembered frames, G latent frames of context and target, K subjects, E channels of an embedding.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import cv2
import numpy as np
import torch
from torch import Tensor, nn

BODY = 1.7
"""Metres that every body is taken to be high; what is larger stands nearer than it seems."""
HEIGHTS = 3.46
"""Heights of a body in deviations of its pixels' rows: as of an upright bar."""
LEAST_PIXELS = 6.0
"""Pixels below which nothing is measured."""
PIECE = 0.25
"""Share of a body's largest piece from which on another piece belongs to it: somebody may walk behind a post."""
DOUBTED = 0.1
"""What is left of the trust in a frame that does not fit those around it."""
MOST = 3
"""Subjects that are followed."""
FEATURES = 16
"""What the follower is told of a subject at each time, besides the time itself."""


class Moments(NamedTuple):
    """Where a subject is in pictures; all ``[...]``, pixels from the picture's corner."""

    area: Tensor
    """Pixels."""
    column: Tensor
    """Mean."""
    row: Tensor
    """Mean."""
    height: Tensor
    """`HEIGHTS` deviations of rows."""
    width: Tensor
    """The same of columns."""
    cut: Tensor
    """Pixels in the picture's outermost columns, as a share of `height`."""


def moments(mask: Tensor) -> Moments:
    """Moments of soft masks ``[..., H, W]``; NaN where there are fewer than `LEAST_PIXELS`."""
    height, width = mask.shape[-2:]
    x = torch.arange(width, device=mask.device) + 0.5
    y = torch.arange(height, device=mask.device) + 0.5
    columns, rows = mask.sum(-2), mask.sum(-1)
    area = columns.sum(-1)
    known = torch.where(area >= LEAST_PIXELS, area, torch.nan)
    column, row = (columns @ x) / known, (rows @ y) / known
    across = ((columns * (x - column[..., None]).square()).sum(-1) / known + 1 / 12).sqrt()
    down = ((rows * (y - row[..., None]).square()).sum(-1) / known + 1 / 12).sqrt()
    tall = HEIGHTS * down
    cut = (columns[..., 0] + columns[..., -1]) / tall
    return Moments(area, column, row, tall, HEIGHTS * across, cut)


def group(chance: Tensor, embedding: Tensor) -> Tensor:
    """Which pixels belong to which subject.

    Args:
        chance: That a subject is there, ``[S, H, W]``.
        embedding: Unit vectors, ``[S, E, H, W]``.

    Returns:
        Soft masks ``[K, S, H, W]``, the largest first; K may be 0.
    """
    flat = embedding.permute(0, 2, 3, 1).reshape(-1, embedding.shape[1])
    weight = (chance * (chance > 0.5)).flatten()
    # the middle of a body tells best whose it is
    inner = nn.functional.avg_pool2d(weight.view_as(chance)[:, None], 5, 1, 2)[:, 0].flatten() * weight
    seeds: list[Tensor] = []
    left = torch.ones_like(weight)
    for _ in range(MOST + 2):
        worth = inner * left
        if float(worth.max()) < 0.25:
            break
        seed = flat[worth.argmax()]
        for _ in range(3):
            alike = weight * ((flat @ seed) > 0.5)
            seed = nn.functional.normalize((flat * alike[:, None]).sum(0), dim=0)
        near = (flat @ seed) > 0.4
        left = left * ~near
        if float((weight * near).sum()) >= 60 and all(float(seed @ other) < 0.6 for other in seeds):
            seeds.append(seed)
    if not seeds:
        return chance.new_zeros(0, *chance.shape)
    likeness = flat @ torch.stack(seeds).T
    best = likeness.max(1, keepdim=True).values
    mine = ((likeness == best) & (likeness > 0.2)).float() * chance.flatten()[:, None]
    masks = mine.T.reshape(len(seeds), *chance.shape)
    order = masks.flatten(1).sum(1).argsort(descending=True)[:MOST]
    return masks[order]


def bodies(mask: Tensor) -> Tensor:
    """Soft masks ``[K, S, H, W]`` without what lies apart from the body: small pieces of it distort its moments."""
    found = mask.clone()
    for subject in range(mask.shape[0]):
        for frame in range(mask.shape[1]):
            whole = (mask[subject, frame] > 0.5).numpy().astype(np.uint8)
            count, labels, stats, _ = cv2.connectedComponentsWithStats(whole, connectivity=8)
            if count > 2:
                areas = stats[1:, cv2.CC_STAT_AREA]
                kept = 1 + np.flatnonzero(areas >= PIECE * areas.max())
                near = cv2.dilate(np.isin(labels, kept).astype(np.uint8), np.ones((5, 5), np.uint8))
                found[subject, frame] *= torch.from_numpy(near)
    return found


def steady(found: Moments, trust: Tensor) -> Tensor:
    """Trust ``[S]``, with little left in frames in which a subject has another size than shortly before and after.

    Height and area are compared. The place is not: the camera's turn moves it.
    """
    seen = torch.nonzero(trust > 0)[:, 0]
    if len(seen) < 5:
        return trust
    facts = torch.stack((found.height.log(), found.area.log()), 1)[seen]
    half = 4
    rows = torch.stack([
        facts[max(0, i - half) : i + half + 1].median(0).values for i in range(len(seen))
    ])  # fmt: skip
    odd = ((facts - rows).abs() > torch.tensor((0.2, 0.45))).any(1)
    kept = trust.clone()
    kept[seen[odd]] *= DOUBTED
    return kept


def places(found: Moments, cameras: Tensor, focal: float, size: tuple[int, int]) -> Tensor:
    """World points of subjects, ``[..., S, 3]``, NaN where nothing was measured; cameras ``[S, 3, 4]``."""
    height, width = size
    depth = BODY * focal / found.height
    x, y = (found.column - width / 2) / focal, (found.row - height / 2) / focal
    there = torch.stack((x, y, torch.ones_like(x)), dim=-1) * depth[..., None]
    return torch.einsum("sij,...sj->...si", cameras[:, :, :3], there) + cameras[:, :, 3]


class InPicture(NamedTuple):
    """Places as a camera sees them."""

    column: Tensor
    """Pixels."""
    row: Tensor
    """Pixels."""
    height: Tensor
    """Of the body, pixels; 0 where it is behind the camera."""


def seen_by(points: Tensor, cameras: Tensor, focal: float, size: tuple[int, int]) -> InPicture:
    """Places ``[..., G, 3]`` seen by cameras ``[G, 3, 4]``."""
    height, width = size
    there = torch.einsum("gji,...gj->...gi", cameras[:, :, :3], points - cameras[:, :, 3])
    depth = there[..., 2].clamp_min(0.3)
    tall = torch.where(there[..., 2] > 0.3, BODY * focal / depth, torch.zeros_like(depth))
    return InPicture(there[..., 0] / depth * focal + width / 2, there[..., 1] / depth * focal + height / 2, tall)


class Known(NamedTuple):
    """What a memory shows of one subject, latent frame by latent frame; batch B."""

    place: Tensor
    """Where it is seen, anything elsewhere, ``[B, G, 3]``."""
    weight: Tensor
    """How well, 0 where not at all, ``[B, G]``."""
    shape: Tensor
    """Log of width over height and of area over height squared, ``[B, G, 2]``."""
    camera: Tensor
    """Where the camera stands, ``[B, G, 3]``."""
    time: Tensor
    """Frames since the first target frame, ``[B, G]``."""


def latent_times(frames: int, first: float, stride: int = 4) -> Tensor:
    """Mean time of the frames of each latent frame, counted from the first target frame."""
    number = torch.arange(frames, dtype=torch.float32)
    groups = torch.cat((number[:1], number[1:].view(-1, stride).mean(1)))
    return groups + first


def pooled(value: Tensor, weight: Tensor, stride: int = 4) -> tuple[Tensor, Tensor]:
    """Weighted means of frames over latent frames, ``[..., 4k + 1, c]`` with weights ``[..., 4k + 1]``; and weights."""
    worth = torch.where(weight > 0, value.movedim(-1, 0) * weight, 0.0).movedim(0, -1)
    total = torch.cat((weight[..., :1], weight[..., 1:].unflatten(-1, (-1, stride)).mean(-1)), -1)
    sums = torch.cat((worth[..., :1, :], worth[..., 1:, :].unflatten(-2, (-1, stride)).mean(-2)), -2)
    return sums / total.clamp_min(1e-6)[..., None], total


def trust(found: Moments) -> Tensor:
    """How well a subject's moments tell where it is: little where the picture's side cuts it off; 0 where unseen."""
    seen = (found.area >= LEAST_PIXELS) & found.height.isfinite()
    return torch.where(seen, (1 - 5 * found.cut).clamp(0.05, 1), 0.0) * (found.area / 30).clamp(0.1, 1)


class Follower(nn.Module):
    """Places that are known to places at all times.

    A straight walk at even speed is the first guess; the transformer adds what is left.
    """

    def __init__(self, dim: int = 64, layers: int = 3, heads: int = 4) -> None:
        super().__init__()
        self.enter = nn.Linear(FEATURES + 12, dim)
        layer = nn.TransformerEncoderLayer(
            dim, heads, 2 * dim, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.blocks = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.leave = nn.Linear(dim, 3)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, known: Known) -> Tensor:
        """World points at all times, ``[B, G, 3]``; each clip needs a positive weight somewhere."""
        origin, axes, depth = _stand(known)
        weight = known.weight[..., None]

        def local(points: Tensor) -> Tensor:
            return torch.einsum("bij,bgj->bgi", axes, points - origin[:, None]) / depth[:, None, None]

        place = torch.where(weight > 0, local(known.place), torch.zeros_like(known.place))
        guess = _straight(place, known.weight, known.time)
        camera = local(known.camera)
        time = known.time[..., None] / 77
        waves = torch.cat([f(time * w) for w in (3.0, 6.0, 12.0, 24.0, 48.0, 96.0) for f in (torch.sin, torch.cos)], -1)
        shape = torch.where(weight > 0, known.shape, torch.zeros_like(known.shape))
        depth_in = depth.log()[:, None, None].expand_as(weight)
        features = torch.cat((place, place - guess * (weight > 0), guess, weight, shape, camera, depth_in), dim=-1)
        x = self.blocks(self.enter(torch.cat((features, waves), dim=-1)))
        found = guess + cast(Tensor, self.leave(x))
        return torch.einsum("bij,bgi->bgj", axes, found * depth[:, None, None]) + origin[:, None]


def _stand(known: Known) -> tuple[Tensor, Tensor, Tensor]:
    """Where a subject was last seen well ``[B, 3]``, axes of which the third points there ``[B, 3, 3]``, its depth."""
    number = torch.arange(known.weight.shape[1], device=known.weight.device)
    last = ((known.weight >= 0.5) * 1000.0 + number).where(known.weight > 0, -1.0).argmax(1)
    row = torch.arange(len(last), device=last.device)
    origin, camera = known.place[row, last], known.camera[row, last]
    way = origin - camera
    # straight below, no direction is ahead: then the first camera's is
    flat = torch.stack((way[:, 0], torch.zeros_like(way[:, 0]), way[:, 2] + 1e-6), dim=-1)
    depth = flat.norm(dim=-1).clamp_min(0.5)
    ahead = torch.nn.functional.normalize(flat, dim=-1)
    down = torch.tensor((0.0, 1.0, 0.0)).to(ahead).expand_as(ahead)
    across = torch.linalg.cross(down, ahead)
    return origin, torch.stack((across, down, ahead), dim=1), depth


def _straight(place: Tensor, weight: Tensor, time: Tensor) -> Tensor:
    """The even walk that fits best, ``[B, G, 3]``; who is seen for a moment stands still."""
    w = weight[..., None]
    total = w.sum(1, keepdim=True).clamp_min(1e-6)
    t = time[..., None] / 15
    mean_t, mean_p = (w * t).sum(1, keepdim=True) / total, (w * place).sum(1, keepdim=True) / total
    spread = (w * (t - mean_t).square()).sum(1, keepdim=True)
    slope = (w * (t - mean_t) * (place - mean_p)).sum(1, keepdim=True) / (spread + 0.004 * total)
    return mean_p + slope * (t - mean_t)
