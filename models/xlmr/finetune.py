"""Fine-tune a Hugging Face directory on a downstream task, as its authors did, with transformers' own heads.

A recipe is a set of numbers with a source; the loop is the same for all: AdamW, shuffled batches, a look at the
development set after each epoch, and the test set once, with the checkpoint that `select` names.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from statistics import mean
from typing import Any, Literal

import torch
from torch import Tensor

from ccbuild.config import apply_overrides, from_mapping
from ccbuild.errors import ConfigError, InputError
from xlmr.tasks import Answer, Example, Task, open_task

__all__ = ["RECIPES", "FinetuneConfig", "finetune", "recipe"]

_IGNORED = -100


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetuneConfig:
    """How a model is fine-tuned."""

    setting: Literal["zero-shot", "translate-train-all"] = "zero-shot"
    """Train on `source` alone, or on every language that has training data (translated, or its own)."""
    source: str = "en"
    """The language of zero-shot training."""
    subset: str = ""
    """GLUE's task."""
    batch: int = 32
    """Sequences of an update."""
    learning_rate: float = 2e-5
    """Peak of the learning rate."""
    epochs: int = 3
    """At most; an epoch is `steps_per_epoch` updates."""
    steps_per_epoch: int | None = None
    """Updates between two looks at the development set; null: as many as pass over the data."""
    patience: int = 0
    """Stop after so many epochs without a better development score; 0: never."""
    schedule: Literal["constant", "linear"] = "linear"
    """Of the learning rate: as it is, or down to 0 after the warm-up."""
    warmup: float = 0.0
    """Share of all updates that warm up."""
    weight_decay: float = 0.0
    """Decoupled decay of all weights but biases and LayerNorm."""
    max_length: int = 128
    """Tokens of a sequence; longer ones are cut, contexts of questions slid over."""
    stride: int = 128
    """Tokens that two windows of a context share."""
    select: Literal["last", "source_dev", "average_dev"] = "source_dev"
    """Which checkpoint is tested: the last, the best on the source's development set (zero-shot in the strict sense),
    or the best on the average over all languages' (which sees labels of the target languages)."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of matrix products."""

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        for key in ("batch", "epochs", "max_length", "learning_rate"):
            if getattr(self, key) <= 0:
                raise ConfigError(f"{key} is {getattr(self, key)}; it must be more than 0.")
        if not 0 <= self.warmup < 1:
            raise ConfigError(f"warmup is {self.warmup}; it is a share of the updates, from 0 to less than 1.")


RECIPES: dict[str, dict[str, dict[str, Any]]] = {
    "xnli": {
        # XLM-R's authors in fairseq issue 1367: 16 sequences on each of 8 GPUs, Adam with a rate of 5e-6, a look at
        # the development set every 5,000 batches, at most 30 times, stop after 5 without a better one. Not said, so
        # assumed: a constant rate, 256 tokens.
        "authors": {
            "batch": 128,
            "learning_rate": 5e-6,
            "epochs": 30,
            "steps_per_epoch": 5000,
            "patience": 5,
            "schedule": "constant",
            "max_length": 256,
        },
        # XTREME, scripts/train_xnli.sh (base models; 3e-5 for large)
        "xtreme": {"batch": 32, "learning_rate": 2e-5, "epochs": 5, "max_length": 128},
    },
    # XTREME, scripts/train_panx.sh
    "ner": {"xtreme": {"batch": 32, "learning_rate": 2e-5, "epochs": 10, "max_length": 128}},
    # XTREME, scripts/train_qa.sh; its warm-up of 500 updates is 6 % of three epochs of SQuAD
    "qa": {
        "xtreme": {
            "batch": 32,
            "learning_rate": 3e-5,
            "epochs": 3,
            "warmup": 0.06,
            "weight_decay": 1e-4,
            "max_length": 384,
            "select": "last",
        }
    },
    # RoBERTa (1907.11692), the table of fine-tuning hyperparameters: rates of 1e-5 to 3e-5, batches of 16 or 32
    "glue": {
        "roberta": {
            "batch": 32,
            "learning_rate": 2e-5,
            "epochs": 10,
            "warmup": 0.06,
            "weight_decay": 0.1,
            "max_length": 512,
        }
    },
}
"""Published settings by task and name; the first of a task is taken when none is named."""


def recipe(task: str, name: str | None = None, overrides: Iterable[str] = ()) -> FinetuneConfig:
    """The recipe `name` of a task with ``key=value`` applied. Raises `ConfigError` for an unknown one."""
    known = RECIPES.get(task)
    if known is None:
        raise ConfigError(f"{task} is no task. There are: {', '.join(RECIPES)}.")
    chosen = name or next(iter(known))
    if chosen not in known:
        raise ConfigError(f"{task} has no recipe {chosen!r}. There are: {', '.join(known)}.")
    return from_mapping(FinetuneConfig, apply_overrides(known[chosen], overrides), "finetune")


def finetune(
    model: str | Path,
    task_name: str,
    data: str | Path,
    config: FinetuneConfig,
    *,
    seed: int = 1,
    device: str = "auto",
    out: str | Path | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Scores in per cent by language on the test set (GLUE: the development set), and how they came about.

    `model` is a Hugging Face directory with a tokenizer; `out` keeps the fine-tuned one. Nothing is downloaded. Raises
    `InputError` for a folder that is no model or no data of the task.
    """
    source = Path(model)
    if not (source / "config.json").is_file() or not (source / "tokenizer.json").is_file():
        raise InputError(
            f"{source} lacks config.json or tokenizer.json. Make it with ccbuild model export … --vocab, and name it."
        )
    try:
        transformers: Any = import_module("transformers")
    except ModuleNotFoundError as error:
        raise InputError("Fine-tuning needs transformers. Install it: pip install 'ccbuild[finetune]'.") from error
    task = open_task(task_name, Path(data), config.subset)
    sources = [config.source] if config.setting == "zero-shot" else task.languages("train")
    train = [example for language in sources for example in task.read("train", language)]
    if not train:
        raise InputError(f"{data} has no training examples in {', '.join(sources) or 'any language'}.")
    torch.manual_seed(seed)
    head = getattr(transformers, f"AutoModelFor{task.head}")
    kinds = {"num_labels": max(len(task.labels), 1)} if task.head != "QuestionAnswering" else {}
    verbosity = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()  # a head that is new is what was asked for, no warning
    try:
        network = head.from_pretrained(source, local_files_only=True, **kinds)
    finally:
        transformers.logging.set_verbosity(verbosity)
    room = network.config.max_position_embeddings - 2
    if config.max_length > room:
        raise ConfigError(
            f"max_length is {config.max_length}, the model in {source} has room for {room} tokens. "
            f"Take --set max_length={room} or less."
        )
    where = torch.device("cuda" if device == "auto" and torch.cuda.is_available() else device.replace("auto", "cpu"))
    tuner = _Tuner(task, config, transformers.AutoTokenizer.from_pretrained(source), network.to(where), where, seed)
    result = tuner.run(train, tell)
    if out is not None:
        tuner.model.save_pretrained(out)
        tuner.tokenizer.save_pretrained(out)
    return {"task": task_name, "setting": config.setting, "select": config.select, "seed": seed, **result}


@dataclass(slots=True)
class _Tuner:
    """One fine-tuning run."""

    task: Task
    config: FinetuneConfig
    tokenizer: Any
    model: Any
    device: torch.device
    seed: int

    def run(self, train: list[Example], tell: Callable[[str], None]) -> dict[str, Any]:
        """Train, choose, test."""
        config, features = self.config, self.features(train)
        per_epoch = config.steps_per_epoch or -(-len(features) // config.batch)
        optimiser, rates = self.optimiser(per_epoch * config.epochs)
        batches = self.batches(features)
        best, chosen, kept, waited = -math.inf, 0, None, 0
        history = []
        for epoch in range(1, config.epochs + 1):
            losses = [self.update(next(batches), optimiser, rates) for _ in range(per_epoch)]
            score = self.development()
            history.append({"epoch": epoch, "loss": float(torch.stack(losses).mean()), "development": score})
            tell(f"epoch {epoch} of {config.epochs}: loss {history[-1]['loss']:.4f}, development {score:.2f}")
            if config.select == "last" or score > best:
                best, chosen, waited = score, epoch, 0
                kept = None if config.select == "last" else copy.deepcopy(self.model.state_dict())
            elif config.patience and (waited := waited + 1) >= config.patience:
                break
        if kept is not None:
            self.model.load_state_dict(kept)
        split = "dev" if self.task.name == "glue" else "test"
        scores = {lang: self.evaluate(split, lang) for lang in self.task.languages(split)}
        first = next(iter(next(iter(scores.values()))))
        return {
            "metric": first,
            "scores": {lang: found[first] for lang, found in scores.items()},
            "all_scores": scores,
            "average": mean(found[first] for found in scores.values()),
            "chosen_epoch": chosen,
            "history": history,
        }

    def development(self) -> float:
        """The score that chooses: of the source's development set, or the average of all."""
        languages = self.task.languages("dev")
        if self.config.select != "average_dev" and self.task.name != "glue":
            languages = [self.config.source] if self.config.source in languages else languages[:1]
        return mean(next(iter(self.evaluate("dev", language).values())) for language in languages)

    def optimiser(self, steps: int) -> tuple[torch.optim.Optimizer, Any]:
        config = self.config
        named = [(n, p) for n, p in self.model.named_parameters() if p.requires_grad]
        decayed = [p for n, p in named if p.ndim > 1]
        others = [p for n, p in named if p.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}]
        adam = torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.98), eps=1e-6)  # RoBERTa's
        warm = int(config.warmup * steps)

        def rate(step: int) -> float:
            if step < warm:
                return (step + 1) / warm
            return 1.0 if config.schedule == "constant" else (steps - step) / max(steps - warm, 1)

        return adam, torch.optim.lr_scheduler.LambdaLR(adam, rate)

    def update(self, batch: dict[str, Tensor], optimiser: torch.optim.Optimizer, rates: Any) -> Tensor:
        self.model.train()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bfloat16"):
            loss: Tensor = self.model(**batch).loss
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        optimiser.step()
        rates.step()
        optimiser.zero_grad(set_to_none=True)
        return loss.detach()

    def batches(self, features: list[dict[str, Any]]) -> Iterator[dict[str, Tensor]]:
        """Batches without end, shuffled anew each pass."""
        generator = torch.Generator().manual_seed(self.seed)
        while True:
            order = torch.randperm(len(features), generator=generator).tolist()
            for start in range(0, len(order), self.config.batch):
                yield self.collate([features[i] for i in order[start : start + self.config.batch]])

    def collate(self, features: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        """Features as padded tensors on the device."""
        length = max(len(f["input_ids"]) for f in features)
        fill = {"input_ids": self.tokenizer.pad_token_id, "attention_mask": 0, "labels": _IGNORED}
        batch = {}
        for key in features[0].keys() & {"input_ids", "attention_mask", "labels", "start_positions", "end_positions"}:
            values = [f[key] for f in features]
            if isinstance(values[0], list):
                values = [v + [fill[key]] * (length - len(v)) for v in values]
            batch[key] = torch.tensor(values, device=self.device)
        return batch

    def features(self, examples: Sequence[Example]) -> list[dict[str, Any]]:
        """Token ids with labels; a question with a long context gives several, each with its example's number."""
        makers = {"SequenceClassification": self.sentence, "TokenClassification": self.words}
        if self.task.head == "QuestionAnswering":
            return [f for i, example in enumerate(examples) for f in self.windows(i, example)]
        return [makers[self.task.head](example) for example in examples]

    def sentence(self, example: Example) -> dict[str, Any]:
        found = self.tokenizer(example.first, example.second, truncation=True, max_length=self.config.max_length)
        return {**_plain(found), "labels": example.label}

    def words(self, example: Example) -> dict[str, Any]:
        """The tag of a word stands at its first piece; words that do not fit have none."""
        found = self.tokenizer(
            list(example.first), is_split_into_words=True, truncation=True, max_length=self.config.max_length
        )
        assert isinstance(example.label, tuple)
        labels, before = [], None
        for word in found.word_ids():
            first = word is not None and word != before
            tag = example.label[word] if first else None
            labels.append(self.task.labels.index(tag) if tag in self.task.labels else _IGNORED)
            before = word
        return {**_plain(found), "labels": labels, "words": found.word_ids()}

    def windows(self, number: int, example: Example) -> Iterator[dict[str, Any]]:
        """Windows over a context; one without the whole answer points to <s>."""
        assert isinstance(example.label, Answer)
        length = self.config.max_length
        found = self.tokenizer(
            example.first,
            example.second,
            truncation="only_second",
            max_length=length,
            stride=min(self.config.stride, length // 4),
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        for k, offsets in enumerate(found["offset_mapping"]):
            inside = [s == 1 for s in found.sequence_ids(k)]
            starts = [i for i, (a, b) in enumerate(offsets) if inside[i] and a <= example.label.start < b]
            ends = [i for i, (a, b) in enumerate(offsets) if inside[i] and a < example.label.end <= b]
            whole = bool(starts and ends)
            yield {
                "input_ids": found["input_ids"][k],
                "attention_mask": found["attention_mask"][k],
                "start_positions": starts[0] if whole else 0,
                "end_positions": ends[-1] if whole else 0,
                "example": number,
                "offsets": [o if i else None for o, i in zip(offsets, inside, strict=True)],
            }

    def evaluate(self, split: str, language: str) -> dict[str, float]:
        """Scores of one language's split."""
        examples = self.task.read(split, language)
        features = self.features(examples)
        self.model.eval()
        outputs: list[Any] = []
        with torch.no_grad():
            for start in range(0, len(features), self.config.batch):
                part = features[start : start + self.config.batch]
                found = self.model(**self.collate(part))
                outputs += self.answers(found, part)
        predicted = _best(outputs, examples) if self.task.head == "QuestionAnswering" else outputs
        return self.task.score(language, examples, predicted)

    def answers(self, found: Any, features: Sequence[dict[str, Any]]) -> list[Any]:
        """What the model says of each feature: a class, a number, tags of words, or spans of an answer."""
        if self.task.head == "QuestionAnswering":
            return [
                (f["example"], *_span(s[: len(f["offsets"])], e[: len(f["offsets"])], f["offsets"]))
                for f, s, e in zip(features, found.start_logits.cpu(), found.end_logits.cpu(), strict=True)
            ]
        if self.task.head == "TokenClassification":
            rows = found.logits.argmax(-1).tolist()
            return [self.tags(row, f) for row, f in zip(rows, features, strict=True)]
        if not self.task.labels:
            return [float(value) for value in found.logits.squeeze(-1)]
        return list(found.logits.argmax(-1).tolist())

    def tags(self, row: Sequence[int], feature: dict[str, Any]) -> list[str]:
        """A tag for each word, from its first piece; O for words that did not fit."""
        result: dict[int, str] = {}
        for word, label in zip(feature["words"], row, strict=False):
            if word is not None:
                result.setdefault(word, self.task.labels[label])
        return [result.get(word, "O") for word in range(max(result, default=-1) + 1)]


def _plain(found: Any) -> dict[str, Any]:
    return {key: found[key] for key in ("input_ids", "attention_mask")}


_LONGEST_ANSWER, _CANDIDATES = 30, 20
"""As in BERT's run_squad.py: pieces of an answer, and starts and ends that are tried."""


def _span(start: Tensor, end: Tensor, offsets: Sequence[Any]) -> tuple[float, int, int]:
    """(logit, first character, character after the last) of the best span inside the context; 0, 0 where none is."""
    best = (-float("inf"), 0, 0)
    ends = end.topk(min(_CANDIDATES, len(end))).indices.tolist()
    for i in start.topk(min(_CANDIDATES, len(start))).indices.tolist():
        for j in ends:
            if offsets[i] is not None and offsets[j] is not None and i <= j < i + _LONGEST_ANSWER:
                best = max(best, (float(start[i] + end[j]), offsets[i][0], offsets[j][1]))
    return best


def _best(spans: Sequence[tuple[int, float, int, int]], examples: Sequence[Example]) -> list[str]:
    """The text of each example's best span over its windows."""
    best: dict[int, tuple[float, int, int]] = {}
    for number, logit, first, last in spans:
        best[number] = max(best.get(number, (-float("inf"), 0, 0)), (logit, first, last))
    return [(example.second or "")[best[i][1] : best[i][2]] for i, example in enumerate(examples)]
