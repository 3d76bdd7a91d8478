"""``--model hydra`` as ``module:NAME``: what the memory ``hydra`` implies, as other memories imply their models."""

from __future__ import annotations

from reference_model.model.methods import HYDRA
from reference_model.sampling.method_factory import MethodFactory

hydra = MethodFactory(HYDRA)
