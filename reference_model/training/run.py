"""A whole run: codec, cache, transformer, saved model; each stage is skipped when it is done already.

* ``<out>/train.json``: what was asked; another request into the folder of a run with a checkpoint is refused
* ``<prepared>/codec/``, ``<prepared>/latents/``: shared by runs that differ in memory, steps or seed
* ``<out>/checkpoints/``, ``metrics.jsonl``, ``tensorboard/``, ``samples/``, ``loss.png``
* ``<out>/model_index.json`` and folders beside it: the model, as `hmbench eval --model OUT` loads it, card, digests
"""

from __future__ import annotations

from pathlib import Path

from reference_model.training.checkpoints import Checkpoints
from reference_model.training.disk import FAILURES, is_disk_full
from reference_model.training.export import save_model
from reference_model.training.loop import TransformerJob, train_transformer
from reference_model.training.monitor import Listener, Silent, plot_loss
from reference_model.training.preparing import check_codec, deviations, prepare_latents, prepare_parts
from reference_model.training.processes import make_accelerator
from reference_model.training.request import TrainingRequest, as_record, check_request, remember
from reference_model.training.stop import TrainingStoppedError

__all__ = ["TrainingRequest", "run_training"]


def run_training(request: TrainingRequest, listener: Listener | None = None) -> Path:
    """Runs all stages and returns the folder of the saved model.

    Raises:
        TrainingStoppedError: If the run cannot go on; what was complete is kept.
    """
    try:
        return _run(request, listener or Silent())
    except TrainingStoppedError:
        raise
    except FAILURES as error:  # each library has a class of its own for a full disk
        if not is_disk_full(error):
            raise
        newest = Checkpoints(request.out / "checkpoints", 1).newest()
        kept = f"the newest complete checkpoint is {newest}" if newest else "there is no checkpoint yet"
        raise TrainingStoppedError(
            f"The disk is full: {request.out} or {request.codec_folder.parent} could not be written to; {kept}.",
            "Free some space and run the same command again: whatever is complete is not done again.",
        ) from error


def _run(request: TrainingRequest, listener: Listener) -> Path:
    config = request.config
    accelerator = make_accelerator(config, request.device)
    if not accelerator.is_main_process:
        listener = Silent()
    check_request(request, accelerator.num_processes)
    check_codec(request)
    remember(request, accelerator)
    with accelerator.main_process_first():
        # the first process trains the codec, the others find it done
        pipeline, report = prepare_parts(request, accelerator.device, listener)
    cache = prepare_latents(request, pipeline, accelerator, listener)
    if config.flow.subject_weight != 1 and not cache.shows_subjects():
        listener.notice("no clip has a mask that shows a subject: subjects count like everything else")
    train_ids, held_ids = request.split()
    job = TransformerJob(
        config=config,
        seed=request.seed,
        out=request.out,
        cache=cache,
        train_ids=train_ids,
        held_ids=held_ids,
        pipeline=pipeline,
        deviations=deviations(pipeline, config.model),
    )
    model = train_transformer(job, accelerator, listener)
    if accelerator.is_main_process:
        plot_loss(request.out, config.model.name)
        pipeline.register_modules(transformer=model.cpu())
        facts = {"codec": report, "cache": cache.digest, "clips": len(train_ids)}
        save_model(
            request.out,
            pipeline,
            config,
            {**facts, **as_record(request), "processes": accelerator.num_processes},
        )
    accelerator.wait_for_everyone()
    accelerator.end_training()
    return request.out
