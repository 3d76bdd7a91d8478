"""HM-World from the Hub: lists its parts, streams them through gzip and tar, and keeps only the samples asked for.

* `hmbench.data.hub.parts`: which parts there are and where, pinned to a commit.
* `hmbench.data.hub.stream`: the parts as one stream of bytes; survives cut connections, checks sizes and digests.
* `hmbench.data.hub.archive`: tar members, hostile until proven otherwise.
* `hmbench.data.hub.extract`: members to sample folders, each renamed into place when it is complete.
* `hmbench.data.hub.download`: all of it behind `hmbench data download`.
"""
