"""Static pages for looking at runs: tables, plots, a page per model, clip and metric, videos in step.

``hmbench report`` writes them for run folders, ``python -m leaderboard site`` for accepted entries; both describe what
they show as boards (`hmbench.report.pages.content`) and hand them to `hmbench.report.pages.site.write_site`.

Whatever a run says (names, captions, ids, links, reasons) is a stranger's text: `words` makes it harmless once, the
templates escape it, and the scripts only ever set it as text.
"""
