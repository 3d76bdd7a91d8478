"""Writes the shipped clip of `hmbench.video.parity`: ``python -m hmbench.video.make_parity_clip``."""

from hmbench.video.files import write_video
from hmbench.video.parity import CLIP, known_frames

if __name__ == "__main__":
    write_video(CLIP, known_frames(), fps=15, crf=1)
