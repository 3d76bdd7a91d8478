"""One way to fan work out over processes: a crew of workers and one queue of tasks.

* `crew` gives tasks to workers as they get free, and deals with those that die or hang. It knows no engine.
* `local` runs workers as processes of this machine, `on_ray` as actors of a Ray cluster; both are engines.
* `spread` is the short form for a plain function over many items.
"""
