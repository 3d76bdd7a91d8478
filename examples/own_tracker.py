"""A tracker of your own: a class with ``track``, which sees frames and nothing else.

``hmbench eval --model oracle --data own_data:Squares --tracker own_tracker:Red``, from this folder.
"""

import numpy as np

from hmbench import Track


class Red:
    """Follows what is red: one subject, a box a frame."""

    def track(self, video):  # uint8 [T, H, W, 3]
        boxes = np.full((len(video), 4), np.nan, np.float32)  # xyxy in pixels; NaN where it is not seen
        red = (video[..., 0] > 180) & (video[..., 2] < 90)
        for t, mask in enumerate(red):
            y, x = np.nonzero(mask)
            if len(x) > 20:
                boxes[t] = x.min(), y.min(), x.max() + 1, y.max() + 1
        scores = np.where(np.isnan(boxes[:, 0]), np.nan, 1).astype(np.float32)
        return (Track(id=1, boxes=boxes, scores=scores),)
