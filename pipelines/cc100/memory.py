"""Which verbs may need more memory than a worker has: said before a run starts, not after a week."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cc100.layout import Run
from cc100.run import plan
from cc100.verbs.prepare import CrawlProse, EstimateModel
from ccbuild.lm.estimate import learning_megabytes, learns_within
from ccbuild.prose import Prose
from ccbuild.vocab.train import seeds_within, training_megabytes

__all__ = ["needs"]

_PACKED = 4
"""How many times larger than its file a compressed text may be."""


def needs(run: Run, verbs: Sequence[str]) -> list[str]:
    """For each of `verbs` that may need more than `run.memory_megabytes`: how much, what for, what to set.

    Of what was made before nothing is said: it had its memory.
    """
    found: list[str] = []
    if "prepare" in verbs:
        found += _of_prepare(run)
    if "vocab" in verbs and run.manifest("vocab", "vocabulary") is None:
        found += _of_vocab(run)
    return found


def _of_prepare(run: Run) -> Iterator[str]:
    config, may = run.recipe.prepare.lm, run.recipe.run.memory_megabytes
    texts = [task.text for task in next(plan(run, "prepare", [], [])).tasks if isinstance(task, EstimateModel)]
    new = [text for text in texts if run.manifest("prepare", text.lang) is None]
    need = {text.lang: learning_megabytes(_characters(text), config) for text in new}
    over = [lang for lang in sorted(need) if need[lang] > may]
    if over:
        most = max(over, key=lambda lang: need[lang])
        yield (
            f"prepare may take {need[most]:,} MiB to learn the pieces of {most}, and more than run.memory_megabytes="
            f"{may} for {len(over)} of {len(need)} languages. Have that free for each worker, or learn from less text, "
            f"which gives other models: --set prepare.lm.sample_characters={learns_within(may)}."
        )


def _characters(text: Prose | CrawlProse) -> int:
    """At most so many are in it, as far as is known."""
    packed = isinstance(text, Prose) and any(path.endswith((".xz", ".gz", ".bz2")) for path in text.paths)
    return text.nbytes() * (_PACKED if packed or (isinstance(text, Prose) and text.files) else 1)


def _of_vocab(run: Run) -> Iterator[str]:
    config, may = run.recipe.vocab, run.recipe.run.memory_megabytes
    need = training_megabytes(config)
    if need > may:
        told = f"vocab may take {need:,} MiB in one worker when it trains, more than run.memory_megabytes={may}"
        if config.seeds == "weighted" and config.model == "unigram":
            yield f"{told}. Have that free by then."
            return
        yield (
            f"{told}: SentencePiece seeks pieces in vocab.seed_megabytes={config.seed_megabytes} of text. Have that "
            "free by then, or let it seek in less text, which gives another vocabulary: --set vocab.seed_megabytes="
            f"{seeds_within(may)}."
        )
