"""Compiled loops over the characters of texts: scripts, noise, what fastText models say, votes.

In one file, since numba's cache on disk watches only the file that a function stands in, and imported by the functions
that need it, since numba costs half a second to import. Texts are code points behind each other; text t is
``points[starts[t]:starts[t + 1]]``. What the numbers of tables mean stands where they are made: `letters.Folded`,
`network.Network`, `scripts.Kinds`, `cascade.Codes`, `noise.Signs`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

__all__ = ["ask", "count_kinds", "find_noise", "hash_words", "judge", "pieces"]

_compiled = njit(cache=True, nogil=True, error_model="numpy")
_APART: dict[str, Any] = {
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
}  # called from here alone: half of the time
_inner = njit(nogil=True, error_model="numpy", **_APART)
_summed = njit(nogil=True, error_model="numpy", fastmath={"reassoc", "contract"}, **_APART)

_PLANES = 0x20000
_NEWLINE = 10
_OPEN, _SHUT = ord("<"), ord(">")
_BEST, _FIRST, _OWN, _JOINED = range(4)  # rows of `model.Room`
_MARKS = 2


@_inner
def _kind(p: Any, kinds: Any) -> Any:
    """The kind of a character: 0 for what is no letter, 1 for ideographs beyond the tables; see `scripts.Kinds`."""
    if p < _PLANES:
        return np.int64(kinds[p])
    return np.int64(p < 0x32000)


@_compiled
def count_kinds(points: Any, begin: int, end: int, kinds: Any, counts: Any) -> None:
    """Count the characters of each kind."""
    counts[:] = 0
    for i in range(begin, end):
        counts[_kind(points[i], kinds)] += 1


# --- fastText: words and n-grams to rows, rows to a hidden vector, hidden vector to the best labels ---

_BASIS, _PRIME = np.uint32(2166136261), np.uint32(16777619)
_ROWS = 4096


@_inner
def _hashed(h: Any, byte: Any) -> Any:
    """One step of FNV-1a as fastText has it, which extends the sign of a byte."""
    wide = np.uint32(byte)
    if byte >= 0x80:
        wide |= np.uint32(0xFFFFFF00)
    return np.uint32((h ^ wide) * _PRIME)


@_inner
def _slot(word: Any, begin: int, end: int, pool: Any, places: Any, slots: Any) -> Any:
    """Where the word stands in the hash table, or would."""
    h = _BASIS
    for i in range(begin, end):
        h = _hashed(h, word[i])
    slot = np.int64(h) & (len(slots) - 1)
    while slots[slot] >= 0:
        start = places[slots[slot]]
        same = places[slots[slot] + 1] - start == end - begin
        if same:
            for i in range(end - begin):
                if pool[start + i] != word[begin + i]:
                    same = False
                    break
        if same:
            break
        slot = (slot + 1) & (len(slots) - 1)
    return slot


@_compiled
def hash_words(pool: Any, places: Any, slots: Any) -> None:
    """Fill the hash table of the words."""
    for number in range(len(places) - 1):
        slots[_slot(pool, places[number], places[number + 1], pool, places, slots)] = number


@_inner
def _bits(x: Any) -> Any:
    """How many bits of a 64-bit number are set (Warren, Hacker's Delight, 5-1)."""
    x = x - ((x >> np.uint64(1)) & np.uint64(0x5555555555555555))
    x = (x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333))
    x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((x * np.uint64(0x0101010101010101)) >> np.uint64(56))


@_inner
def _add(rows: Any, n: int, vectors: Any, scales: Any, hidden: Any) -> Any:
    """Add `n` rows to the hidden vector, four at a time; none is left."""
    whole = n - n % 4
    for i in range(0, whole, 4):
        a, b, c, d = rows[i], rows[i + 1], rows[i + 2], rows[i + 3]
        p, q, r, s = scales[a], scales[b], scales[c], scales[d]
        for k in range(len(hidden)):
            first = np.float32(vectors[a, k]) * p + np.float32(vectors[b, k]) * q
            hidden[k] += first + (np.float32(vectors[c, k]) * r + np.float32(vectors[d, k]) * s)
    for i in range(whole, n):
        for k in range(len(hidden)):
            hidden[k] += np.float32(vectors[rows[i], k]) * scales[rows[i]]
    return 0


@_inner
def _grams(
    word: Any, i: int, length: int, rows: Any, n: Any, nwords: int, shape: Any, inverse: Any, kept: Any, before: Any
) -> Any:
    """Put the rows of the n-grams of ``<word>`` that start at `i` and later into `rows`, as long as there is space:
    (how many are in it, where the rest starts). A division of whole numbers costs more than the product."""
    buckets, least, most, all_kept = shape[0], shape[1], shape[2], len(kept) == 0
    while i < length and n + most < len(rows):
        h, j = _BASIS, i
        for size in range(1, most + 1):
            if j >= length:
                break
            h = _hashed(h, word[j])
            j += 1
            while j < length and word[j] & 0xC0 == 0x80:
                h = _hashed(h, word[j])
                j += 1
            if size < least or (size == 1 and (i == 0 or j == length)):
                continue
            bucket = np.int64(h) - np.int64(np.float64(h) * inverse) * buckets
            if bucket < 0:  # the quotient may be one off
                bucket += buckets
            elif bucket >= buckets:
                bucket -= buckets
            if all_kept:
                rows[n] = nwords + bucket
                n += 1
            else:  # without a branch, which nothing would foresee
                bits, bit = kept[bucket >> 6], np.uint64(bucket & 63)
                rows[n] = nwords + before[bucket >> 6] + _bits(bits & ((np.uint64(1) << bit) - np.uint64(1)))
                n += np.int64((bits >> bit) & np.uint64(1))
        i += 1
        while i < length and word[i] & 0xC0 == 0x80:
            i += 1
    return n, i


@_inner
def _write(p: Any, word: Any, length: int) -> Any:
    """Append a character to a word in UTF-8; its new length."""
    if p < 0x80:
        word[length] = p
        return length + 1
    if p < 0x800:
        word[length] = 0xC0 | p >> 6
        word[length + 1] = 0x80 | p & 0x3F
        return length + 2
    if p < 0x10000:
        word[length] = 0xE0 | p >> 12
        word[length + 1] = 0x80 | p >> 6 & 0x3F
        word[length + 2] = 0x80 | p & 0x3F
        return length + 3
    word[length] = 0xF0 | p >> 18
    word[length + 1] = 0x80 | p >> 12 & 0x3F
    word[length + 2] = 0x80 | p >> 6 & 0x3F
    word[length + 3] = 0x80 | p & 0x3F
    return length + 4


@_inner
def _hide(points: Any, begin: int, end: int, letters: Any, net: Any, room: Any, hidden: Any) -> Any:
    """The mean of the vectors of a text; how many there are.

    Arrays are taken out of their tuples once, as each time costs an atomic count of references.
    """
    word, rows, kinds, roles = room.word, room.rows, letters.kinds, letters.roles
    vectors, scales, pool, places, slots = net.vectors, net.scales, net.words, net.places, net.slots
    shape, kept, before, inverse, nwords = net.shape, net.kept, net.before, net.inverse[0], len(net.places) - 1
    gaps = shape[4]
    for k in range(len(hidden)):
        hidden[k] = 0
    n, count, length = 0, 0, 1
    word[0] = _OPEN
    for i in range(begin, end + 1):
        if i < end and not roles[_kind(points[i], kinds)] & gaps:
            length = _write(np.int64(points[i]), word, length)
            continue
        if length == 1:
            continue
        known = slots[_slot(word, 1, length, pool, places, slots)]
        word[length] = _SHUT
        if known >= 0:
            rows[n] = known
            n += 1
        start = 0 if shape[2] > 0 else length + 1
        while True:
            n, start = _grams(word, start, length + 1, rows, n, nwords, shape, inverse, kept, before)
            if start <= length or n + 1 >= len(rows):
                count += n
                n = _add(rows, n, vectors, scales, hidden)
            if start > length:
                break
        length = 1
    if shape[3] >= 0:
        rows[n] = shape[3]
        n += 1
    count += n
    _add(rows, n, vectors, scales, hidden)
    for k in range(len(hidden)):
        hidden[k] /= max(count, 1)
    return count


@_summed
def _dot(output: Any, row: int, hidden: Any) -> Any:
    """A row of the output layer by the hidden vector."""
    total = np.float32(0)
    for k in range(len(hidden)):
        total += output[row, k] * hidden[k]
    return total


_SMOOTH = 1e-5
"""What fastText adds to a probability (`std_log` of its loss.cc); a label of less in a tree is not looked at."""


@_inner
def _rank(label: int, p: Any, best: Any, probabilities: Any, n: int) -> Any:
    """Put a label among the best; how many there are."""
    most = len(best)
    if n == most and p <= probabilities[n - 1]:
        return n
    place = min(n, most - 1)
    while place > 0 and probabilities[place - 1] < p:
        best[place], probabilities[place] = best[place - 1], probabilities[place - 1]
        place -= 1
    best[place], probabilities[place] = label, p
    return min(n + 1, most)


@_summed
def _weigh(logits: Any, labels: int, top: float) -> Any:
    """The sum of ``exp(logit - top)``, as the limit of (1 + x / n)^n, n = 2^20, of which many are computed at once;
    within 1e-5 of it."""
    total = 0.0
    for label in range(labels):
        x = 1.0 + max(logits[label] - top, -40.0) / (1 << 20)
        for _ in range(20):
            x *= x
        total += x
    return total


@_inner
def _softmax(net: Any, hidden: Any, logits: Any, best: Any, probabilities: Any) -> Any:
    """The best labels of a flat softmax."""
    output = net.output
    n, labels, top = 0, len(output), -np.inf
    for label in range(labels):
        logits[label] = _dot(output, label, hidden)
        top = max(top, logits[label])
        n = _rank(label, logits[label], best, probabilities, n)
    total = _weigh(logits, labels, top)
    for i in range(n):
        probabilities[i] = np.exp(probabilities[i] - top) / total + _SMOOTH
    return n


@_inner
def _descend(net: Any, hidden: Any, nodes: Any, scores: Any, best: Any, probabilities: Any) -> Any:
    """The best labels of a tree: whatever can still be among them is walked, the likelier side first."""
    output, tree = net.output, net.tree
    n, labels, least = 0, len(tree) + 1, np.log(_SMOOTH)
    nodes[0], scores[0] = 2 * labels - 2, 0.0
    depth = 1
    while depth:
        depth -= 1
        node, score = nodes[depth], scores[depth]
        if score < least or (n == len(best) and score <= probabilities[n - 1]):
            continue
        if node < labels:
            n = _rank(node, score, best, probabilities, n)
            continue
        right = 1 / (1 + np.exp(-np.float64(_dot(output, node - labels, hidden))))
        first = 0 if right > 0.5 else 1
        for side in (first, 1 - first):
            nodes[depth] = tree[node - labels, side]
            scores[depth] = score + np.log((right if side else 1 - right) + _SMOOTH)
            depth += 1
    for i in range(n):
        probabilities[i] = np.exp(probabilities[i])
    return n


@_inner
def _predict(points: Any, begin: int, end: int, letters: Any, net: Any, room: Any) -> Any:
    """How many labels are found; they stand in ``room.found``, the best first, with their probabilities."""
    hidden = room.hidden[: net.vectors.shape[1]]
    most = room.found.shape[1] // 2
    best, p = room.found[_BEST, :most], room.p[_BEST, :most]
    if not _hide(points, begin, end, letters, net, room, hidden):
        return 0
    if len(net.tree):
        n = _descend(net, hidden, room.nodes, room.scores, best, p)
    else:
        n = _softmax(net, hidden, room.scores, best, p)
    for i in range(n):
        p[i] = min(p[i], 1.0)
    return n


@_compiled
def ask(points: Any, starts: Any, letters: Any, net: Any, room: Any, labels: Any, scores: Any) -> None:
    """The best labels of each text and their probabilities, -1 where there are fewer."""
    for t in range(len(starts) - 1):
        n = _predict(points, starts[t], starts[t + 1], letters, net, room)
        labels[t] = -1
        for i in range(n):
            labels[t, i], scores[t, i] = room.found[_BEST, i], room.p[_BEST, i]


# --- noise ---

_LETTER, _DIGIT, _SIGN, _END, _COMMA, _SPACE = range(1, 7)  # as in noise.py
_CLASS, _TAIL, _CYRILLIC_TAIL, _LEAD = 7, 8, 16, 32
_NO_LETTERS, _NUMBERS, _REPEATED, _MOJIBAKE, _CODE, _MASH, _MENU, _KEYWORDS = range(1, 9)
_A_CIRCUMFLEX, _A_TILDE, _A_SMALL, _ER, _ES, _REPLACED, _I_SMALL = (ord(c) for c in "ÂÃâРС\ufffdï")
_EURO, _INVERTED, _HALF, _DEGREE, _DZE = (ord(c) for c in "€¿½°ѕ")
_LATIN_LEADS = tuple(ord(c) for c in "ÐÑØÙ")


@_inner
def _class(p: Any, classes: Any) -> Any:
    if p < _PLANES:
        return np.int64(classes[p])
    return np.int64(_LETTER if p < 0x32000 else 0)


@_inner
def _broken(points: Any, begin: int, end: int, classes: Any) -> Any:
    """How many marks of a broken encoding the text has: UTF-8 read as Latin-1 or Windows-1251, and U+FFFD."""
    found, i = 0, begin
    while i < end:
        p = points[i]
        if not _class(p, classes) & _LEAD:
            i += 1
            continue
        after = points[i + 1] if i + 1 < end else np.uint32(0)
        third = points[i + 2] if i + 2 < end else np.uint32(0)
        kind, step = _class(after, classes), 0
        latin = p in _LATIN_LEADS
        if p == _REPLACED:
            step = 1
        elif p == _I_SMALL:
            step = 3 * (after == _INVERTED and third == _HALF)
        elif p == _A_SMALL:
            step = 2 * (after == _EURO)
        elif p == _ER or p == _ES:  # noqa: SIM109  numba makes a loop of `in`
            if p == _ER and _DEGREE <= after <= _DZE and third == _ES:
                step = 3
            elif kind & _CYRILLIC_TAIL:
                step = 2
        elif kind & _TAIL:
            step = 2
        elif latin and kind & _CLASS != _SPACE and third in _LATIN_LEADS:
            step = 3
        found += step > 0
        i += max(step, 1)
    return found


@_inner
def _shape(points: Any, begin: int, end: int, signs: Any, counts: Any) -> Any:
    """(characters in runs of six and more, leads of broken encodings, pairs of signs of code, letters on keys, steps
    between keys, short ones); `counts` gets the characters of each class."""
    classes, places = signs.classes, signs.places
    runs = leads = pairs = keys = steps = short = 0
    run, before, place = 0, np.uint32(0), -100
    for i in range(begin, end):
        p = points[i]
        kind = _class(p, classes)
        counts[kind & _CLASS] += 1
        leads += kind & _LEAD != 0
        if i > begin and p == before:
            run += 1
            runs += 6 if run == 6 else run > 6
        else:
            run = 1
        if ((p == 0x2F or p == 0x3A) and p == before and run % 2 == 0) or (p == 0x29 and before == 0x28):
            pairs += 1
        pairs += p == 0x3B or p == 0x7C
        if p < 128:
            now = places[p]
            keys += now >= 0
            if now >= 0 and place >= 0:
                steps += 1
                short += abs(now - place) <= 2
            place = now
        before = p
    return runs, leads, pairs, keys, steps, short


@_inner
def _words(points: Any, begin: int, end: int, signs: Any) -> Any:
    """(words, how often the commonest of a third and more of them stands), small and capital letters alike."""
    hashes, classes, small = np.empty((end - begin) // 2 + 1, np.uint64), signs.classes, signs.small
    n, h, inside = 0, np.uint64(0), False
    for i in range(begin, end):
        p = points[i]
        if _class(p, classes) & _CLASS == _SPACE:
            inside = False
            continue
        if not inside:
            inside, h = True, np.uint64(14695981039346656037)
            n += 1
        h = (h ^ np.uint64(small[p] if p < _PLANES else p)) * np.uint64(1099511628211)
        hashes[n - 1] = h
    one = two = np.uint64(0)
    ones = twos = 0
    for h in hashes[:n]:  # Misra and Gries 1982: whatever has more than a third is one of two that are left
        if ones and h == one:
            ones += 1
        elif twos and h == two:
            twos += 1
        elif not ones:
            one, ones = h, 1
        elif not twos:
            two, twos = h, 1
        else:
            ones, twos = ones - 1, twos - 1
    ones = twos = 0
    for h in hashes[:n]:
        ones += h == one
        twos += h == two
    return n, max(ones, twos)


@_inner
def _lines(points: Any, begin: int, end: int, signs: Any) -> Any:
    """(lines that are not blank, those of them that are as short as the lines of a menu, characters of these)."""
    classes, most = signs.classes, signs.limits[6]
    lines = short = length = chars = 0
    blank = True
    for i in range(begin, end + 1):
        if i == end or points[i] == _NEWLINE:
            lines += not blank
            if not blank and length <= most:
                short, chars = short + 1, chars + length
            length, blank = 0, True
        else:
            length += 1
            blank &= _class(points[i], classes) & _CLASS == _SPACE
    return lines, short, chars


@_inner
def _said(points: Any, begin: int, end: int, letters: int) -> Any:
    """Letters, an ideograph, a kana or a syllable of Hangul as three, as it says as much."""
    for i in range(begin, end):
        p = points[i]
        letters += 2 * (0x3040 <= p <= 0x30FF or 0x3400 <= p <= 0x9FFF or 0xAC00 <= p <= 0xD7AF)
    return letters


@_inner
def _unsigned(points: Any, begin: int, end: int, signs: Any) -> Any:
    """Characters of the lines without a sign of code."""
    classes = signs.classes
    chars, start, marks = 0, begin, False
    for i in range(begin, end + 1):
        if i == end or points[i] == _NEWLINE:
            chars += 0 if marks else i - start
            start, marks = i + 1, False
        else:
            marks |= _class(points[i], classes) & _CLASS == _SIGN or points[i] == 0x3B or points[i] == 0x7C
    return chars


@_compiled
def find_noise(points: Any, begin: int, end: int, signs: Any) -> Any:
    """Which kind of noise the text is, 0 for none; see `noise.noise`."""
    limits, size = signs.limits, end - begin
    counts = np.zeros(8, np.int64)
    runs, leads, pairs, keys, steps, short = _shape(points, begin, end, signs, counts)
    letters = counts[_LETTER]
    if not letters:
        return _NO_LETTERS
    if counts[_DIGIT] > limits[0] * letters:
        return _NUMBERS
    if size > 12 and runs > limits[1] * size:
        return _REPEATED
    if leads > limits[2] * letters and _broken(points, begin, end, signs.classes) > limits[2] * letters:
        return _MOJIBAKE
    code = counts[_SIGN] + pairs
    if (
        code > limits[3] * letters
        and code > limits[3] * _said(points, begin, end, letters)
        and _unsigned(points, begin, end, signs) * 2 < size
    ):
        return _CODE
    if letters >= 12 and keys * 2 > letters and steps >= 10 and short > limits[4] * steps:
        return _MASH
    words, same = _words(points, begin, end, signs)
    if words >= 12 and same > limits[5] * words:
        return _REPEATED
    lines, few, chars = _lines(points, begin, end, signs)
    if lines >= 6 and counts[_END] < limits[7] * lines and few > lines * 3 // 4 and chars * 2 > size:
        return _MENU
    if size > 20 * words:  # no spaces between words: two characters count as one
        words = size // 2
    commas = counts[_COMMA]
    if commas >= 8 and counts[_END] < limits[8] * commas and commas > limits[9] * words:
        return _KEYWORDS if letters < limits[10] * commas else 0
    return 0


# --- one text: script, rules, models ---

_CYRL, _ARAB, _BENG, _TIBT, _MYMR, _HANG = 3, 6, 8, 19, 20, 22  # as in scripts.NAMES
_ETHI, _KANA, _HANI, _ZZZZ = 23, 25, 26, 31
(  # as in scripts.MARKS
    _ASSAMESE, _BENGALI, _AZERBAIJANI, _SHORT_U, _UZBEK, _NOT_UZBEK, _JAWI, _ALSO_JAWI,
    _CANTONESE, _TIGRINYA, _SHAN, _SIMPLIFIED, _TRADITIONAL, _RARE,
) = range(14)  # fmt: skip
(  # as in scripts.RULES
    _IS_AS, _IS_AZ, _IS_UZ, _IS_MS, _IS_YUE, _IS_VI, _IS_ZH, _IS_TI, _IS_AM, _IS_MY, _IS_TIBT, _IS_OTHER,
) = range(12)  # fmt: skip
_UND, _ZXX, _ZH, _HANS, _HANT, _KU, _CKB = range(7)  # as in cascade._FIRST_CODES
_BY_NOTHING, _BY_MODEL, _BY_BOTH, _BY_RULE = range(4)  # as in cascade._BY


@_inner
def _look(points: Any, begin: int, end: int, letters: Any, room: Any) -> Any:
    """(letters, script of most of them, share of the letters that are in it); see `scripts.Scripts`."""
    counts, scripts, marks = room.counts[0], room.counts[1], room.counts[_MARKS]
    script_of, marks_of, alone = letters.script, letters.marks, letters.alone
    count_kinds(points, begin, end, letters.kinds, counts)
    scripts[:] = 0
    marks[:] = 0
    for kind in range(len(script_of)):
        count = counts[kind]
        if count:
            scripts[script_of[kind]] += count
            bits, mark = marks_of[kind], 0
            while bits:
                marks[mark] += count * (bits & 1)
                bits >>= 1
                mark += 1
    total = said = 0
    script = 1
    for number in range(1, len(alone)):
        total += scripts[number]
        if number == _HANG or number == _KANA or number == _HANI:  # noqa: SIM109 (as in cascade.DENSE)
            scripts[number] *= 3
        said += scripts[number]
        if scripts[number] > scripts[script]:
            script = number
    if not total:
        return 0, 0, 0.0
    count = scripts[script]
    if script == _HANI or script == _KANA:  # noqa: SIM109
        count = scripts[_HANI] + scripts[_KANA]
        script = _KANA if scripts[_KANA] * 10 >= count else _HANI
    return total, script, count / said


@_inner
def _decide(script: int, total: int, marks: Any, letters: Any) -> Any:
    """Which rule decides, -1 for none."""
    if letters.alone[script] >= 0:
        return letters.alone[script]
    if script == _BENG:
        if marks[_ASSAMESE] + marks[_BENGALI] >= 3 and marks[_ASSAMESE] > marks[_BENGALI]:
            return _IS_AS
    elif script == _CYRL:
        if marks[_AZERBAIJANI]:
            return _IS_AZ
        if marks[_SHORT_U] and marks[_UZBEK] >= 2 and not marks[_NOT_UZBEK]:
            return _IS_UZ
    elif script == _ARAB:
        if marks[_JAWI] and marks[_JAWI] + marks[_ALSO_JAWI] >= 3:
            return _IS_MS
    elif script == _HANI:
        if marks[_CANTONESE] * 50 > total:
            return _IS_YUE
        return _IS_VI if marks[_RARE] * 20 > total else _IS_ZH
    elif script == _ETHI:
        return _IS_TI if marks[_TIGRINYA] >= 2 and marks[_TIGRINYA] * 100 > total else _IS_AM
    elif script == _MYMR:
        return -1 if marks[_SHAN] * 40 > total else _IS_MY
    elif script == _TIBT:
        return _IS_TIBT
    elif script == _ZZZZ:
        return _IS_OTHER
    return -1


@_inner
def _merge(room: Any, n: int, labels: Any, script: int, whose: int) -> Any:
    """Codes and probabilities of what a model said, labels of one code added up, Kurdish in Arabic script Sorani; how
    many there are."""
    best, p, codes, scores = room.found[_BEST], room.p[_BEST], room.found[whose], room.p[whose]
    found = 0
    for i in range(n):
        code = labels[best[i]]
        if code == _KU and script == _ARAB:
            code = _CKB
        place = 0
        while place < found and codes[place] != code:
            place += 1
        if place == found:
            codes[place], scores[place] = code, 0.0
            found += 1
        scores[place] += p[i]
    return found


_SURELY_ROMANISED, _PERHAPS_ROMANISED, _WORDS_ROMANISED = 0.9, 0.4, 0.5
"""A text is romanised where the supplement gives it that much, or so much and that share of its words is common there.
Of 8,049 lines of the declaration in 341 languages with Latin letters 23 fall into a romanised code, 17 of them
Hindustani of the Caribbean; without this rule about 120. 0.95 leaves 18, and loses Telugu as people write it."""


@_inner
def _knows_words(points: Any, begin: int, end: int, letters: Any, gaps: int, word: Any, lexicon: Any, bit: int) -> Any:
    """The share of the words of a text that are among the commonest of a romanised code."""
    kinds, roles, pool, places, slots = letters.kinds, letters.roles, lexicon.words, lexicon.places, lexicon.slots
    length = words = known = 0
    for i in range(begin, end + 1):
        if i < end and not roles[_kind(points[i], kinds)] & gaps:
            length = _write(np.int64(points[i]), word, length)
        elif length:
            number = slots[_slot(word, 0, length, pool, places, slots)]
            words += 1
            known += number >= 0 and lexicon.codes[number] & bit != 0
            length = 0
    return known / max(words, 1)


@_inner
def _drop_romanised(points: Any, begin: int, end: int, asked: Any, room: Any, m: Any) -> Any:
    """Take out of what the supplement said each romanised code that the text shows too little of; how many are left."""
    own, own_p, romanised, gaps = room.found[_OWN], room.p[_OWN], asked.codes.romanised, asked.supplement.shape[4]
    left = 0
    for k in range(m):
        bit, p = romanised[own[k]], own_p[k]
        if bit and p < _SURELY_ROMANISED:
            if p < _PERHAPS_ROMANISED:
                continue
            share = _knows_words(points, begin, end, asked.letters, gaps, room.word, asked.lexicon, bit)
            if share < _WORDS_ROMANISED:
                continue
        own[left], own_p[left] = own[k], p
        left += 1
    return left


@_inner
def _join(room: Any, n: int, m: int, codes: Any) -> Any:
    """The probabilities of both models as one, as `supplement.Supplement` says; how many codes there are."""
    first, own, joined = room.found[_FIRST], room.found[_OWN], room.found[_JOINED]
    first_p, own_p, joined_p = room.p[_FIRST], room.p[_OWN], room.p[_JOINED]
    known, trusted = codes.known, codes.trust
    elsewhere = total = 0.0
    for i in range(n):
        elsewhere += first_p[i] * (1 - max(trusted[first[i]], 0.0)) * known[first[i]]
    found = 0
    for i in range(n + m):
        code = first[i] if i < n else own[i - n]
        said, heard, again = first_p[i] if i < n else 0.0, 0.0, False
        for k in range(m):
            if own[k] == code:
                heard = own_p[k]
        for k in range(found):
            again |= joined[k] == code
        if again:
            continue
        knows = known[code]
        said = knows * max(said, codes.least) + (1 - knows) * codes.prior * (1 - elsewhere)
        trust = max(trusted[code], 1 - knows) if trusted[code] >= 0 else 0.0
        heard = trust * max(heard, codes.least) + (1 - trust) * said
        joined[found], joined_p[found] = code, said ** (1 - codes.share) * heard**codes.share
        total += joined_p[found]
        found += 1
    for k in range(found):
        joined_p[k] /= total
    return found


@_inner
def _ask_both(points: Any, begin: int, end: int, script: int, asked: Any, room: Any) -> Any:
    """(codes that the models found, whether the supplement was asked); they stand in ``room.found``."""
    codes, n = asked.codes, 0
    for second in range(2):
        found = _predict(points, begin, end, asked.letters, asked.supplement if second else asked.model, room)
        if second:
            m = _merge(room, found, codes.own, script, _OWN)
            return _join(room, n, _drop_romanised(points, begin, end, asked, room, m), codes), True
        n = _merge(room, found, codes.labels, script, _FIRST)
        if not len(codes.own) or not asked.letters.shared[script]:
            break
    for i in range(n):
        room.found[_JOINED, i], room.p[_JOINED, i] = room.found[_FIRST, i], room.p[_FIRST, i]
    return n, False


@_inner
def _identify(points: Any, begin: int, end: int, asked: Any, room: Any, said: Any, scores: Any) -> None:
    """Write (code, second best, by what) and (score, score of the second best) of one text."""
    said[0], said[1], said[2] = _UND, _UND, _BY_NOTHING
    scores[0] = scores[1] = 0.0
    total, script, share = _look(points, begin, end, asked.letters, room)
    if not total:
        return
    rule = _decide(script, total, room.counts[_MARKS], asked.letters)
    if rule >= 0 and (share > 0.5 or asked.codes.rules[rule] == _UND):
        said[0], said[2], scores[0] = asked.codes.rules[rule], _BY_RULE + rule, share
    else:
        n, both = _ask_both(points, begin, end, script, asked, room)
        said[2] = _BY_BOTH if both else _BY_MODEL
        for k in range(n):
            code, p = room.found[_JOINED, k], room.p[_JOINED, k]
            if p > scores[0] or (p == scores[0] and code < said[0]):
                said[1], scores[1] = said[0], scores[0]
                said[0], scores[0] = code, p
            elif p > scores[1] or (p == scores[1] and code < said[1]):
                said[1], scores[1] = code, p
    if said[0] == _ZH:
        said[0] = _HANS if room.counts[_MARKS][_SIMPLIFIED] >= room.counts[_MARKS][_TRADITIONAL] else _HANT
    if not asked.codes.allowed[said[0]]:
        said[0] = _UND


# --- pages: chunks of paragraphs, a sample of them, votes ---


@_inner
def _chunks(points: Any, begin: int, end: int, least: int) -> Any:
    """(start, end) of neighbouring paragraphs that have `least` characters together."""
    found = np.empty(((end - begin) // least + 2, 2), np.int64)
    n, start = 0, begin
    for i in range(begin, end + 1):
        if i == end or (points[i] == _NEWLINE and i + 1 - start >= least):
            if i > start:
                found[n, 0], found[n, 1] = start, i
                n += 1
            start = i + 1
    return found[:n]


@_inner
def _mixed(h: Any) -> Any:
    """A number that tells nothing of `h` (Steele, Lea, Flood 2014: SplitMix)."""
    h = (h ^ (h >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return h ^ (h >> np.uint64(31))


@_inner
def _sample(points: Any, spans: Any, most: int, seed: int, order: Any, ends: Any) -> Any:
    """Write which spans are taken, and where each is cut, in an order that only the text and the seed say, until there
    are `most` characters, 0: all; how many these are."""
    n, total = len(spans), 0
    for i in range(n):
        order[i], ends[i] = i, spans[i, 1]
        total += spans[i, 1] - spans[i, 0]
    if not most or total <= most:
        return n
    h = np.uint64(seed) + np.uint64(0x9E3779B97F4A7C15)
    for i in range(spans[0, 0], spans[n - 1, 1]):
        h = (h ^ np.uint64(points[i])) * np.uint64(1099511628211)
    left = most
    for i in range(n):
        h += np.uint64(0x9E3779B97F4A7C15)
        other = i + np.int64(_mixed(h) % np.uint64(n - i))
        order[i], order[other] = order[other], order[i]
        start, end = spans[order[i], 0], spans[order[i], 1]
        ends[i] = min(end, start + left)
        left -= end - start
        if left <= 0:
            return i + 1
    return n


@_compiled
def pieces(points: Any, begin: int, end: int, least: int, most: int, seed: int) -> Any:
    """(start, end) of the chunks of a page that a sample of `most` characters takes."""
    spans = _chunks(points, begin, end, least)
    order, ends = np.empty(len(spans), np.int64), np.empty(len(spans), np.int64)
    n = _sample(points, spans, most, seed, order, ends)
    found = np.empty((n, 2), np.int64)
    for i in range(n):
        found[i, 0], found[i, 1] = spans[order[i], 0], ends[i]
    return found


_MAJORITY, _MINORITY = 0.65, 0.2
"""A page is mixed when its language has less of the characters than the first and another more than the second. Of 989
half translated pages they take 28 %, of 3,000 others 3.1 %: 0.5 and 0.2 take 6 and 1.0, 0.8 and 0.2 take 49 and 6.1."""
_SURE, _SURE_APART, _SURE_SHARE = 0.5, 0.3, 0.1
"""And only where more of the characters than the share are surely in each of them, by the scores of their paragraphs: a
language that the identifier hardly knows looks like two, and so does Chinese full of names and commands. Paragraphs in
two scripts need less. Neighbours make no mixture. Of 11,257 real pages the two shares alone take 354, 125 of them with
under 2 % of another language; what is asked here leaves 164, one with under 2 %, and 153 of the 195 with a fifth of it
or more."""


@_inner
def _count(codes: Any, scores: Any, sizes: Any, n: int, said: Any, shares: Any) -> Any:
    """Write (code, second) and (score, share, share of the second) of what `n` pieces say; whether with one voice."""
    found = np.empty(n, np.int64)
    weights, chars = np.zeros(n), np.zeros(n)
    kinds, total = 0, 0
    for i in range(n):
        if codes[i] == _UND:
            continue
        k = 0
        while k < kinds and found[k] != codes[i]:
            k += 1
        found[k] = codes[i]
        kinds = max(kinds, k + 1)
        weights[k] += scores[i] * sizes[i]
        chars[k] += sizes[i]
        total += sizes[i]
    said[0], said[1] = _UND, _UND
    shares[0], shares[1], shares[2] = 0.0, 1.0, 0.0
    said[2] = 0
    if not kinds:
        return False
    first = second = -1
    for k in range(kinds):
        if first < 0 or weights[k] > weights[first] or (weights[k] == weights[first] and found[k] < found[first]):
            first, second = k, first
        elif second < 0 or weights[k] > weights[second] or (weights[k] == weights[second] and found[k] < found[second]):
            second = k
    said[0] = found[first]
    shares[0], shares[1] = weights[first] / chars[first], chars[first] / total
    if second >= 0:
        said[1], shares[2] = found[second], chars[second] / total
    return kinds == 1


@_inner
def _shared(
    points: Any, spans: Any, order: Any, codes: Any, scores: Any, said: Any, shares: Any, asked: Any, room: Any
) -> Any:
    """Whether a page, of whose pieces these are the codes and scores, is of two languages."""
    if said[1] == _UND or shares[1] >= _MAJORITY or shares[2] <= _MINORITY:
        return False
    if asked.codes.neighbours[said[0]] & asked.codes.neighbours[said[1]]:
        return False
    total, sure, surely = 0, np.zeros((2, 2), np.int64), (_SURE_APART, _SURE)
    letters = np.zeros((2, len(asked.letters.shared)))
    for i in range(len(codes)):
        start, end = spans[order[i], 0], spans[order[i], 1]
        total += end - start if codes[i] != _UND else 0
        for which in range(2):
            if codes[i] == said[which]:
                number, script, share = _look(points, start, end, asked.letters, room)
                letters[which, script] += number * share
                for k in range(2):
                    sure[k, which] += end - start if scores[i] >= surely[k] else 0
    same = np.int64(np.argmax(letters[0]) == np.argmax(letters[1]))
    return min(sure[same, 0], sure[same, 1]) > _SURE_SHARE * total


@_inner
def _vote(points: Any, begin: int, end: int, asked: Any, how: Any, room: Any, said: Any, scores: Any) -> None:
    """What the chunks of a page say, first a sample of them, as long as its first two are not sure of one language, and
    all where it does not speak with one voice; or what the text says in one piece."""
    spans = _chunks(points, begin, end, how.chunk if how.pages else end - begin + 1)
    n = len(spans)
    asked_to, code_of, score_of = np.zeros(n, np.int64), np.empty(n, np.int64), np.empty(n)
    codes, weights, sizes = np.empty(n, np.int64), np.empty(n), np.empty(n, np.int64)
    order, ends = np.empty(n, np.int64), np.empty(n, np.int64)
    for whole in range(0 if 0 < how.most < end - begin else 1, 2):
        taken = _sample(points, spans, 0 if whole else how.most, how.seed, order, ends)
        for i in range(taken):
            number, start = order[i], spans[order[i], 0]
            if asked_to[number] != ends[i]:
                _identify(points, start, ends[i], asked, room, said, scores)
                asked_to[number], code_of[number], score_of[number] = ends[i], said[0], scores[0]
            codes[i], weights[i], sizes[i] = code_of[number], score_of[number], ends[i] - start
            if not whole and i == 1 and codes[0] == codes[1] and min(weights[0], weights[1]) >= how.enough:
                taken = 2
                break
        if how.pages and _count(codes, weights, sizes, taken, said, scores):
            return
    if how.pages and _shared(points, spans, order, codes[:taken], weights, said, scores, asked, room):
        said[2] = 1


@_compiled
def judge(folded: Any, asked: Any, signs: Any, how: Any, room: Any, said: Any, scores: Any) -> None:
    """What is said of each text: of one piece (code, second, by what or minus the kind of noise) and (score, score of
    the second, 0); of a page whose paragraphs vote (code, second, minus the kind of noise, or 1 where it is mixed) and
    (score, share, share of the second)."""
    points, starts, raw, raw_starts = folded.points, folded.starts, folded.raw, folded.raw_starts
    for t in range(len(starts) - 1):
        begin, end = raw_starts[t], raw_starts[t + 1]
        if how.most:
            end = min(end, begin + max(how.most, how.noise_chars))
        why = find_noise(raw, begin, end, signs) if how.test_noise else 0
        said[t, 0], said[t, 1], said[t, 2] = _UND, _UND, _BY_NOTHING
        scores[t, 0] = scores[t, 1] = scores[t, 2] = 0.0
        if why and (how.pages or why != _NO_LETTERS):
            said[t, 0], said[t, 2], scores[t, 0] = _ZXX, -why, 1.0
            scores[t, 1] = how.pages
        else:
            _vote(points, starts[t], starts[t + 1], asked, how, room, said[t], scores[t])
