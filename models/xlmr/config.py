"""What a training run is: its model, its data, its optimiser, and where it runs. Presets are YAML beside this file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from ccbuild.config import Settings, apply_overrides, aside, flatten, from_mapping, load_yaml, place
from ccbuild.errors import ConfigError, InputError

__all__ = [
    "DataConfig",
    "ModelConfig",
    "OptimConfig",
    "PhaseConfig",
    "RunConfig",
    "TrainConfig",
    "load_preset",
    "preset_names",
    "section",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """The shape of the encoder. Its vocabulary is that of the tokens, never a setting."""

    layers: int = 12
    """Transformer blocks."""
    width: int = 768
    """Width of the hidden states."""
    heads: int = 12
    """Attention heads; they share the width evenly."""
    ffn: int = 3072
    """Width inside the feed-forward part."""
    positions: int = 514
    """Rows of the position embedding: the longest sequence and 2, since fairseq counts positions from <pad> + 1."""
    norm: Literal["post", "pre"] = "post"
    """LayerNorm after the residual sum (XLM-R base and large) or before each part and once at the end (XL, XXL)."""
    dropout: float = 0.1
    """Dropout of the embeddings and of what each part adds. RoBERTa: 0.1."""
    attention_dropout: float = 0.1
    """Dropout of attention weights. RoBERTa: 0.1."""
    layer_norm_eps: float = 1e-5
    """Added to the variance in LayerNorm. fairseq: 1e-5, torch's default."""
    init_std: float = 0.02
    """Standard deviation of the initial weights. BERT's, kept by fairseq."""

    def __post_init__(self) -> None:
        """Refuse a shape that cannot be built."""
        for key in ("layers", "width", "heads", "ffn"):
            if getattr(self, key) < 1:
                raise ConfigError(f"model.{key} is {getattr(self, key)}; it must be at least 1.")
        if self.width % self.heads:
            raise ConfigError(
                f"model.width={self.width} is not a multiple of model.heads={self.heads}. Change one of them."
            )
        if self.positions < 5:
            raise ConfigError(
                f"model.positions is {self.positions}; a sequence of 3 tokens needs 5 (positions start at 2)."
            )
        for key in ("dropout", "attention_dropout"):
            if not 0 <= getattr(self, key) < 1:
                raise ConfigError(f"model.{key} is {getattr(self, key)}; it lies between 0 and 1.")


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseConfig:
    """A stretch of the schedule that is drawn and masked in its own way (mmBERT, 2509.06888: three of them)."""

    start: int
    """Updates done when the phase begins; 0 for the first."""
    alpha: float | None = None
    """Of this phase; null: `data.alpha`."""
    mask_prob: float | None = None
    """Of this phase; null: `data.mask_prob`."""
    languages: tuple[str, ...] | None = None
    """Codes drawn in this phase, among `data.languages`; null: all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig:
    """What the model reads and what of it is masked."""

    seq_len: int = 512
    """Tokens of a sequence, <s> and </s> included. RoBERTa: 512."""
    alpha: float = 0.3
    """Languages are drawn in proportion to count ** alpha. XLM-R: 0.3."""
    cap: float | None = None
    """Most times that a language may be read in the run, 1 or more; what that takes from some is shared out among the
    others. null: no cap. XLM-R: none, which reads its smallest language 1,400 times."""
    alpha_counts: Literal["sentences", "tokens"] = "sentences"
    """What alpha is taken over. Sentences in XLM (1901.07291, section 3.1), whose formula XLM-R takes over."""
    languages: tuple[str, ...] | None = None
    """Codes of the languages to train on; null: all that have tokens."""
    sampling: Literal["alpha", "fairseq"] = "alpha"
    """alpha: shares by `alpha`, each block once a pass. fairseq: shares over blocks as its multilingual_masked_lm
    makes them, with replacement where a language is upsampled (its default; not known to be XLM-R's)."""
    blocks: Literal["stream", "document"] = "stream"
    """stream: a language's documents one after the other, cut every `seq_len` - 2 tokens (XLM-R). document: no
    sequence holds two documents; short ones are padded."""
    phases: tuple[PhaseConfig, ...] = ()
    """A schedule of alpha, masking and languages; empty: one phase with the values of this section."""
    pairs: str | None = place(finer="the training, `pairs.<pair>.sha256`: the tokens of each pair")
    """Folder of aligned text, one folder of tokens a pair (``en-sw/``: en and sw, whose n-th documents translate each
    other), for translation language modelling (1901.07291, section 3.3); null: none."""
    pair_share: float = 0.5
    """Share of the sequences that are pairs, where there are pairs."""
    mask_prob: float = 0.15
    """Share of the tokens that are predicted. BERT: 0.15."""
    mask_share: float = 0.8
    """Of those, the share replaced by <mask>. BERT: 0.8."""
    random_share: float = 0.1
    """Of those, the share replaced by a random piece; the rest stays as it is. BERT: 0.1."""
    validation_blocks: int = 8
    """Blocks at the end of each language that are held out; at most a tenth of its blocks. 0: none."""

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        if self.cap is not None and (self.cap < 1 or self.sampling == "fairseq"):
            raise ConfigError(f"data.cap is {self.cap}; it takes 1 or more, and data.sampling=alpha.")
        if self.seq_len < 3:
            raise ConfigError(f"data.seq_len is {self.seq_len}; with <s> and </s> it must be at least 3.")
        for where, phase in zip(
            ["data", *(f"data.phases[{i}]" for i in range(len(self.phases)))][-len(self.schedule()) :],
            self.schedule(),
            strict=True,
        ):
            if not 0 < (phase.mask_prob or 0) < 1:
                raise ConfigError(f"{where}.mask_prob is {phase.mask_prob}; it lies between 0 and 1.")
        starts = [phase.start for phase in self.schedule()]
        if starts[0] != 0 or sorted(set(starts)) != starts:
            raise ConfigError(f"data.phases start at {starts}; the first starts at 0, each later than the one before.")
        if self.sampling == "fairseq" and self.phases:
            raise ConfigError("data.sampling=fairseq knows no data.phases. Take data.sampling=alpha.")
        if not 0 < self.pair_share <= 1:
            raise ConfigError(f"data.pair_share is {self.pair_share}; it lies between 0 and 1.")
        if self.mask_share < 0 or self.random_share < 0 or self.mask_share + self.random_share > 1:
            raise ConfigError(
                f"data.mask_share={self.mask_share} and data.random_share={self.random_share} must not be negative "
                "nor add up to more than 1."
            )
        if self.validation_blocks < 0:
            raise ConfigError(f"data.validation_blocks is {self.validation_blocks}; it must not be negative.")

    @property
    def block(self) -> int:
        """Tokens of the stream in a sequence: without <s> and </s>."""
        return self.seq_len - 2

    @property
    def slots(self) -> int:
        """Masked tokens that a sequence has room for; one number for all, so that shapes do not change."""
        return int(max(phase.mask_prob or 0 for phase in self.schedule()) * self.block) + 1

    def schedule(self) -> tuple[PhaseConfig, ...]:
        """The phases, at least one, with alpha and mask_prob filled in."""
        return tuple(
            replace(
                phase,
                alpha=self.alpha if phase.alpha is None else phase.alpha,
                mask_prob=self.mask_prob if phase.mask_prob is None else phase.mask_prob,
            )
            for phase in self.phases or (PhaseConfig(start=0),)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimConfig:
    """AdamW and its schedule."""

    batch: int = 8192
    """Sequences of an update, over all ranks. XLM-R: 8192."""
    steps: int = 1_500_000
    """Updates of the whole schedule. XLM-R: 1.5 million."""
    learning_rate: float = 6e-4
    """Peak of the learning rate."""
    warmup_steps: int = 24_000
    """Updates of linear warm-up."""
    schedule: Literal["linear", "wsd"] = "linear"
    """After the warm-up. linear: straight to 0 at `steps` (RoBERTa). wsd: the peak until the last `decay_steps`, then
    straight to 0; a checkpoint of the plateau can go on to any number of steps."""
    decay_steps: int = 0
    """Updates of decay at the end of a wsd schedule."""
    beta1: float = 0.9
    """Decay of the gradient's mean. RoBERTa: 0.9."""
    beta2: float = 0.98
    """Decay of the gradient's square. RoBERTa: 0.98."""
    eps: float = 1e-6
    """Added to the root of the square. RoBERTa: 1e-6."""
    weight_decay: float = 0.01
    """Decoupled decay of matrices and embeddings, not of biases and LayerNorm. RoBERTa: 0.01."""
    clip_norm: float = 0.0
    """Largest norm of the gradient; 0: no clipping. RoBERTa: 0."""
    spike: float = 0.0
    """Skip an update whose gradient's norm is more than this many times its running mean; 0: skip only what is not
    finite, which always is."""
    rollback: int = 0
    """Go back to the newest checkpoint, and on with the data that follows, once so many updates in a row were skipped;
    seen when metrics are read. 0: never."""

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        for key in ("batch", "steps"):
            if getattr(self, key) < 1:
                raise ConfigError(f"optim.{key} is {getattr(self, key)}; it must be at least 1.")
        if not 0 <= self.warmup_steps <= self.steps:
            raise ConfigError(f"optim.warmup_steps={self.warmup_steps} does not lie within optim.steps={self.steps}.")
        if self.schedule == "wsd" and not 0 < self.decay_steps <= self.steps - self.warmup_steps:
            raise ConfigError(
                f"optim.decay_steps={self.decay_steps} must be at least 1 and leave room for the warm-up "
                f"({self.warmup_steps} of {self.steps} steps)."
            )
        if 0 < self.spike <= 1:
            raise ConfigError(f"optim.spike is {self.spike}; it must be more than 1, or 0 for none.")
        for key in ("learning_rate", "eps"):
            if getattr(self, key) <= 0:
                raise ConfigError(f"optim.{key} is {getattr(self, key)}; it must be more than 0.")
        for key in ("weight_decay", "clip_norm", "spike", "rollback"):
            if getattr(self, key) < 0:
                raise ConfigError(f"optim.{key} is {getattr(self, key)}; it must not be negative.")
        for key in ("beta1", "beta2"):
            if not 0 <= getattr(self, key) < 1:
                raise ConfigError(f"optim.{key} is {getattr(self, key)}; it lies between 0 and 1.")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """Where and how the run is executed. All but `seed` and `precision` may change between a stop and a resume."""

    seed: int = 1
    """Seed of weights, order, masks and dropout."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of matrix products; weights, sums and the optimiser stay float32. auto: bfloat16 on CUDA, float32 on the CPU."""
    device: Literal["auto", "cpu", "cuda"] = aside("auto")
    """auto: CUDA where there is one. cuda: refuse to start without."""
    micro_batch: int | None = aside(None)
    """Sequences that a rank passes at once; null: its whole share of the batch. Lower it when memory runs out."""
    parallel: Literal["ddp", "fsdp"] = aside("ddp")
    """With several ranks. ddp: each has a whole copy. fsdp: weights, gradients and moments are shared out (FSDP2)."""
    compile: Literal["auto", "never", "always", "cuda_graphs"] = aside("auto")
    """torch.compile of the model; auto: on CUDA only. cuda_graphs: and replay it as CUDA graphs."""
    loss_chunk: int = aside(2048)
    """Masked positions that meet the vocabulary at once: chunk × vocabulary × 4 bytes is what the loss takes."""
    recompute: bool = aside(False)
    """Recompute each block in the backward pass: a third more time, activations of one block (for XL and XXL)."""
    threads: int | None = aside(None)
    """Threads of torch on the CPU; null: as torch finds best. Results are equal bit for bit for an equal number."""
    stop_at: int | None = aside(None)
    """Stop with a checkpoint after this update, although the schedule goes on; null: run to the end."""
    start_from: str | None = place(
        finer="the training, `start_from.sha256`: the weights of the checkpoint that was found"
    )
    """Checkpoint, run or import whose weights are the first ones (the optimiser starts anew); null: random weights."""
    tensorboard: bool = aside(False)
    """Write TensorBoard's event files too, in ``tensorboard/``."""
    log_every: int = aside(100)
    """Updates between two lines of metrics."""
    save_every: int = aside(5000)
    """Updates between two checkpoints; the last update is always saved."""
    keep: int = aside(3)
    """Checkpoints kept, the newest."""
    validate: bool = aside(True)
    """Measure the held-out blocks before the first and after the last update."""

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        for key in ("loss_chunk", "log_every", "save_every", "keep"):
            if getattr(self, key) < 1:
                raise ConfigError(f"run.{key} is {getattr(self, key)}; it must be at least 1.")
        for key in ("micro_batch", "threads", "stop_at"):
            value = getattr(self, key)
            if value is not None and value < 1:
                raise ConfigError(f"run.{key} is {value}; it must be at least 1, or null.")
        if self.seed < 0:
            raise ConfigError(f"run.seed is {self.seed}; it must not be negative.")

    def narrow(self, device: str) -> bool:
        """Whether matrix products are made in bfloat16 on this kind of device."""
        return self.precision == "bfloat16" or (self.precision == "auto" and device == "cuda")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """One training run."""

    model: ModelConfig = field(default_factory=ModelConfig)
    """The encoder."""
    data: DataConfig = field(default_factory=DataConfig)
    """What it reads."""
    optim: OptimConfig = field(default_factory=OptimConfig)
    """How it learns."""
    run: RunConfig = field(default_factory=RunConfig)
    """Where it runs."""

    def __post_init__(self) -> None:
        """Refuse sections that do not fit each other."""
        if self.data.seq_len > self.model.positions - 2:
            raise ConfigError(
                f"data.seq_len={self.data.seq_len} needs model.positions={self.data.seq_len + 2}, "
                f"it is {self.model.positions}. Change one of them."
            )

    def settings(self) -> Settings:
        """Dotted key to value of all that decides the weights: what a checkpoint must agree with to be resumed."""
        return flatten(self)


def section(settings: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The keys of one section of flat settings, without its name."""
    return {key.removeprefix(f"{name}."): value for key, value in settings.items() if key.startswith(f"{name}.")}


def preset_names() -> list[str]:
    """The presets that come with the package, sorted."""
    folder = resources.files("xlmr") / "presets"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load_preset(name_or_path: str | Path, overrides: Iterable[str] = ()) -> TrainConfig:
    """The configuration of a preset (tiny, base, large, xl, xxl) or a YAML file, with ``section.key=value`` applied.

    Raises `InputError` for a name that is neither, `ConfigError` for an unknown key or a value out of range.
    """
    name = str(name_or_path)
    if name in preset_names():
        with resources.as_file(resources.files("xlmr") / "presets" / f"{name}.yaml") as path:
            mapping = load_yaml(path)
    elif Path(name).is_file():
        mapping = load_yaml(name)
    else:
        raise InputError(f"{name} is neither a preset nor a file. Presets: {', '.join(preset_names())}.")
    return from_mapping(TrainConfig, apply_overrides(mapping, overrides), "train")
