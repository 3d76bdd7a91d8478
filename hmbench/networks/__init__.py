"""Networks that metrics and trackers look through, and the weight files behind them (`hmbench weights`)."""

from __future__ import annotations
