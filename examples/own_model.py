"""A model of your own: a class with one method. ``hmbench eval --model own_model:Freeze``, from this folder."""

import numpy as np


class Freeze:
    """Repeats the last context frame."""

    def generate(self, prompt, *, seed):  # uint8 [Tt, H, W, 3] at the prompt's size
        return np.repeat(prompt.context[-1:], prompt.num_target_frames, axis=0)


class Fade:
    """Repeats the last context frame, ever darker. Its argument is an option: ``--option speed=0.5``."""

    def __init__(self, speed: float = 1.0, device: str = "cpu"):  # device is passed where it is accepted
        self.speed = speed

    def generate(self, prompt, *, seed):
        light = np.linspace(1, max(0.0, 1 - self.speed), prompt.num_target_frames)
        return (prompt.context[-1] * light[:, None, None, None]).astype(np.uint8)
