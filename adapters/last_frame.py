"""The smallest adapter: repeats the context's last frame. It needs OpenCV and nothing of hmbench.

python adapters/last_frame.py --port 8080           then: hmbench eval --model http://127.0.0.1:8080 ...
hmbench eval --model "command:python adapters/last_frame.py" ...
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2

sys.path.insert(0, str(Path(__file__).parent))
from serve import serve


def generate(prompt: Path, seed: int, answer: Path | None = None) -> Path:
    """The answer's path."""
    asked = json.loads((prompt / "prompt.json").read_text(encoding="utf-8"))
    frame = cv2.imread(str(prompt / "first.png"))
    answer = answer or prompt / "answer.mp4"
    size = (frame.shape[1], frame.shape[0])
    writer = cv2.VideoWriter(str(answer), cv2.VideoWriter_fourcc(*"mp4v"), asked["fps"], size)
    for _ in range(asked["target_frames"]):
        writer.write(frame)
    writer.release()
    return answer


if __name__ == "__main__":
    if "--port" in sys.argv:
        port = int(sys.argv[sys.argv.index("--port") + 1])
        serve(generate, {"name": "last-frame", "description": "repeats the last frame", "settings": {}}, port)
    else:
        generate(Path(sys.argv[1]), 0, Path(sys.argv[2]))
