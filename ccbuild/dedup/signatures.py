"""MinHash signatures of a batch of texts, equal bit for bit to datasketch's, and the bands that find near duplicates.

Broder, "On the resemblance and containment of documents" (1997), for MinHash; Leskovec, Rajaraman and Ullman, *Mining
of Massive Datasets*, chapter 3, for bands. Two texts whose shingle sets have Jaccard similarity s agree in one band of
r rows with probability s^r, and in at least one of b bands with 1 - (1 - s^r)^b: 14 bands of 8 rows find half of the
pairs at s = 0.69, 92 % at 0.8 and 0.9 % at 0.4.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ccbuild.dedup.words import batches, character_classes
from ccbuild.errors import ConfigError
from ccbuild.text.given import given

__all__ = [
    "SignatureConfig",
    "Signatures",
    "band_hashes",
    "bands_from_threshold",
    "permutations",
    "shingle_hash",
    "sign",
    "similarity_from_bands",
]

WORDS_RULE = "1"
"""Version of the rule by which `ccbuild.dedup.words` makes words; a change of it is another scheme."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureConfig:
    """How documents are compared for near duplicates."""

    ngram: int = 5
    """Words in a shingle. 5: FineWeb (Penedo et al. 2024, 3.1) and datatrove's default."""
    bands: int = 14
    """Bands of the signature; two documents that agree in one are near duplicates. 14 x 8: FineWeb."""
    rows: int = 8
    """Values in a band. More rows: fewer and closer matches."""
    seed: int = 1
    """Seed of datasketch's permutations, 0 to 2^32 - 1. 1: datasketch's default."""
    min_shingles: int = 10
    """Fewest distinct shingles for a signature; a shorter text has none and is never a near duplicate, only an equal
    one. At 10, one changed word amid the text leaves a similarity of 5 in 15, which no band would find."""

    def __post_init__(self) -> None:
        for name in ("ngram", "bands", "rows", "min_shingles"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it takes 1 or more.")
        if not 0 <= self.seed < 1 << 32:
            raise ConfigError(f"seed is {self.seed}; it takes 0 to {(1 << 32) - 1}.")

    @property
    def num_perm(self) -> int:
        """Values in a signature: bands x rows."""
        return self.bands * self.rows

    def at(self, threshold: float | None, num_perm: int) -> SignatureConfig:
        """This with the bands and rows of at most `num_perm` that fit `threshold` best; None: this as it is."""
        if threshold is None:
            return self
        bands, rows = bands_from_threshold(threshold, num_perm)
        return dataclasses.replace(self, bands=bands, rows=rows)

    @classmethod
    def of_scheme(cls, made: Mapping[str, str]) -> SignatureConfig:
        """The inverse of `scheme`."""
        return cls(**{name: int(made[name]) for name in ("ngram", "bands", "rows", "seed", "min_shingles")})

    def scheme(self) -> dict[str, str]:
        """What must be equal for two signatures to be comparable, for the metadata of a file."""
        return {
            "signature": f"datasketch-affine32/xxh32/words-{WORDS_RULE}",
            "ngram": str(self.ngram),
            "bands": str(self.bands),
            "rows": str(self.rows),
            "seed": str(self.seed),
            "min_shingles": str(self.min_shingles),
        }


@dataclass(frozen=True, slots=True)
class Signatures:
    """Signatures of n texts."""

    values: NDArray[np.uint32]
    """[n, num_perm]; all 2^32 - 1 (datasketch's empty MinHash) where there is no signature."""
    present: NDArray[np.bool_]
    """[n]; False for a text with fewer than `min_shingles` distinct shingles."""


@functools.lru_cache(maxsize=8)
def permutations(num_perm: int, seed: int) -> NDArray[np.uint32]:
    """datasketch's own permutations h -> a * h + b mod 2^32 (scheme affine32), uint32[2, num_perm], read-only."""
    from datasketch import MinHash  # brings scipy: 0.4 s that no other command should pay

    made = np.ascontiguousarray(MinHash(num_perm=num_perm, seed=seed, scheme="affine32").permutations, dtype=np.uint32)
    made.setflags(write=False)
    return made


def shingle_hash(shingle: bytes) -> int:
    """XXH32 with seed 0, the hash that stands for a shingle: the `hashfunc` to give to datasketch.

    >>> hex(shingle_hash(b"abc"))
    '0x32d153ff'
    """
    from ccbuild.dedup import kernels

    return int(kernels.xxh32(np.frombuffer(shingle, np.uint8), 0, len(shingle)))


def sign(texts: Iterable[str], config: SignatureConfig | None = None) -> Signatures:
    """The signature of each of `texts`: ``values``, uint32[n, num_perm], and ``present``, bool[n], whether it has one.

    >>> sign(["too short for a signature", " ".join(map(str, range(40)))]).present.tolist()
    [False, True]

    Equal to ``datasketch.MinHash(num_perm, seed, scheme="affine32", hashfunc=shingle_hash)`` updated with
    ``shingles(text, ngram)``. Words, hashes and permutations run compiled, without the interpreter's lock; Python
    lowers the case and encodes. Memory: 4 x num_perm bytes a text, and 4 to 15 bytes a character of the longest text.
    The first call of a machine compiles for some seconds and keeps the result in numba's cache.
    """
    from ccbuild.dedup import kernels

    texts = given(texts, "signatures")
    config = config or SignatureConfig()
    n = len(texts)
    values = np.empty((n, config.num_perm), np.uint32)
    present = np.zeros(n, np.bool_)
    classes, table = character_classes(), permutations(config.num_perm, config.seed)
    for first, last in batches(texts):
        encoded = [text.lower().encode("utf-8", "surrogatepass") for text in texts[first:last]]
        offsets = np.zeros(len(encoded) + 1, np.int64)
        np.cumsum([len(e) for e in encoded], out=offsets[1:])
        buffer = np.frombuffer(b"".join(encoded), np.uint8)
        kernels.sign(
            buffer, offsets, classes, table, config.ngram, config.min_shingles, values[first:last], present[first:last]
        )
    return Signatures(values, present)


def band_hashes(values: NDArray[np.uint32], config: SignatureConfig) -> NDArray[np.uint64]:
    """A 64-bit hash of each band of each signature, uint64[n, bands].

    The band's number is mixed in, so that all bands can share one file of prints. Two bands that differ get one hash
    with probability 2^-64.
    """
    from ccbuild.dedup import kernels

    if values.ndim != 2 or values.shape[1] != config.num_perm or values.dtype != np.uint32:
        raise ValueError(f"values is {values.dtype}{list(values.shape)}; it takes uint32[n, {config.num_perm}]")
    out = np.empty((len(values), config.bands), np.uint64)
    kernels.band_hashes(np.ascontiguousarray(values), config.bands, config.rows, out)
    return out


def bands_from_threshold(threshold: float, num_perm: int = 112) -> tuple[int, int]:
    """(bands, rows) by datasketch's optimum: least sum of false positives below `threshold` and false negatives above.

    `bands x rows` may be less than `num_perm`.

    >>> bands_from_threshold(0.68)
    (14, 8)
    """
    from datasketch import MinHashLSH

    try:
        index = MinHashLSH(threshold=threshold, num_perm=num_perm)
    except ValueError as error:
        raise ConfigError(f"threshold {threshold} with {num_perm} permutations: {error}. Try 0.5 to 0.9.") from error
    return int(index.b), int(index.r)


def similarity_from_bands(agreeing: NDArray[np.integer], config: SignatureConfig) -> NDArray[np.float32]:
    """Estimated Jaccard similarity of pairs that agree in `agreeing` (k, 1 to b) of the bands, float32.

    A band agrees with probability s^r, so k of b bands estimate s^r by k / b and s by (k / b)^(1 / r): the maximum
    likelihood estimate. It is coarse: with 14 x 8 it takes 14 values from 0.72 (k = 1) to 1, and pairs that agree in no
    band are never seen, so that k = 1 says "0.72 or less". Cost of the choice: no signature need be read again.
    """
    by_count = [math.pow(k / config.bands, 1.0 / config.rows) for k in range(config.bands + 1)]
    table = np.array(by_count, dtype=np.float32)
    return np.asarray(table[np.minimum(agreeing, config.bands)], np.float32)
