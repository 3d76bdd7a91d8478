"""Mini HM-World: a procedural world with exact truth, drawn on the CPU, in HM-World's own format.

    from hmbench.data.mini_world import ClipSpec, Probe, render_clip
    clip = render_clip(ClipSpec(scene=3, subjects=(7,), subject_path=1, camera_path=5, seed=1), (224, 128))

Folders are made by `generate` (`hmbench data make-mini`) and read by the HM-World reader.
"""

from hmbench.data.mini_world.clip import RenderedClip, SubjectRecord, render_clip
from hmbench.data.mini_world.default import ensure_default_mini
from hmbench.data.mini_world.filter import rejection
from hmbench.data.mini_world.generate import GenerateConfig, accepted_specs, generate
from hmbench.data.mini_world.probes import PROBE_KINDS, Probe
from hmbench.data.mini_world.spec import GENERATOR, VERSION, ClipSpec
from hmbench.data.mini_world.writer import write_clip

__all__ = [
    "GENERATOR",
    "PROBE_KINDS",
    "VERSION",
    "ClipSpec",
    "GenerateConfig",
    "Probe",
    "RenderedClip",
    "SubjectRecord",
    "accepted_specs",
    "ensure_default_mini",
    "generate",
    "rejection",
    "render_clip",
    "write_clip",
]
