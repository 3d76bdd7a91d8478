"""Data of your own: a class with ``ids``, ``load``, ``caption`` and ``revision``.

``hmbench eval --model copy-last --data own_data:Squares``, from this folder. A folder of videos needs no code: see
``hmbench data import``.
"""

import numpy as np

import hmbench


class Squares:
    """A red square that walks out of the picture and back, on a striped wall."""

    name = "squares"

    def ids(self, split):
        return ("square-0", "square-1", "square-2")

    def load(self, sample_id):
        number, frames = int(sample_id[-1]), 42
        video = np.zeros((frames, 64, 96, 3), np.uint8)
        video[:, :, ::8] = 90 + 40 * number
        labels = np.zeros(video.shape[:3], np.uint8)
        for t in range(frames):
            left = 60 + round(60 * np.sin(np.pi * t / (frames - 1)))  # 60, out at 96, and back
            video[t, 24:48, left : left + 16] = (220, 30 + 60 * number, 40)
            labels[t, 24:48, left : left + 16] = 1
        return hmbench.make_sample(
            sample_id,
            video[:21],
            video[21:],
            labels=labels,
            names={1: "Square"},
            scene=f"Wall{number}",
            caption="A wall.",
        )

    def caption(self, sample_id):
        return self.load(sample_id).prompt.caption

    def revision(self, ids):
        return f"squares 1 {len(ids)}"
