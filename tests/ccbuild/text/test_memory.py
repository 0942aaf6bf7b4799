"""Peak memory and decisions on pages made to be dear: each as large as a payload may be, through reader and parser."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

PAGES = r"""
import gzip, io, sys
from ccbuild.ledger import Ledger
from ccbuild.text.page import ExtractConfig, page_text
from ccbuild.warc.records import Reader

config = ExtractConfig()
most = config.max_payload_bytes

def fill(unit, before=b"<html><body>", after=b"</body></html>"):
    return before + unit * ((most - len(before) - len(after)) // len(unit)) + after

def digest(answer):  # what was decided, and a hash of the paragraphs
    return answer if isinstance(answer, str) else (answer.unparsed, hash("\n".join(answer.paragraphs)))

pages = {
    "nested": lambda: fill(b"<div>x"),
    "nested in lists": lambda: fill(b"<ul><li>x"),
    "formatting": lambda: fill(b"<b><i>x"),
    "formatting again": lambda: fill(b"<p>x", b"<b>" * 400),
    "attributes": lambda: b"<p" + b"".join(b" a%d=1" % i for i in range(600000)),
    "attributes of many": lambda: fill(b"<p a=1 b=2 c=3 d=4>"),
    "paragraphs": lambda: fill(b"<p>x"),
    "breaks": lambda: fill(b"x<br>"),
    "end tags": lambda: fill(b"</p></br>"),
    "options": lambda: fill(b"<option>x", b"<select>"),
    "cells": lambda: fill(b"<td>x", b"<table><tr>"),
    "links": lambda: fill(b'<a href="/x">word word</a> '),
    "comments": lambda: fill(b"<!---->"),
    "quotes": lambda: fill(b'"'),
    "ampersands": lambda: fill(b"&"),
    "entities": lambda: fill(b"&lt;"),
    "brackets": lambda: fill(b"< "),
    "one word": lambda: fill(b"a"),
    "four bytes": lambda: fill("𝕏".encode()),
    "sentences": lambda: fill("Это предложение длинное и стоит в абзаце страницы. ".encode()),
    "long lines": lambda: fill("<p>" .encode() + "字".encode() * 3000),
    "utf-16 that is none": lambda: fill(b"<p>plain text and no more of it. </p>", b"<meta charset=utf-16>"),
    "utf-7": lambda: fill(b"+ADw-script+AD4-", b"<meta charset=utf-7>"),
    "latin-1": lambda: fill("<p>Voilà l'été déjà passé. ".encode("latin-1"), b"<meta charset=iso-8859-1>"),
    "utf-16": lambda: "\ufeff".encode("utf-16-le") + ("<p>été" * (most // 14)).encode("utf-16-le"),
    "shift_jis": lambda: fill("<p>日本語の文。".encode("shift_jis"), b"<meta charset=shift_jis>"),
    "nul": lambda: fill(b"a\0"),
    "surrogates": lambda: fill(b"\xed\xa0\x80a"),
    "spaces": lambda: fill(b"<p>a  \xc2\xa0 \t b"),
    "wet": lambda: b"a b\n" * (most // 4),
    "wet, fewer lines": lambda: b"a b c d e f\n" * (most // 12),
    "wet, spaces": lambda: b"a  b\n" * (most // 5),
    "wet, four bytes": lambda: "𝕏\n".encode() * (most // 5),
}
http = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n"
page_text("response", 200, "text/html", b"<p>warm", config)
for name, made in pages.items():
    kind = "conversion" if name.startswith("wet") else "response"
    block = made() if kind == "conversion" else http + made()
    head = f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: http://a.test/\r\nWARC-Date: 2024-01-01T00:00:00Z\r\n"
    head += f"Content-Length: {len(block)}\r\n\r\n"
    archive = gzip.compress(head.encode() + block + b"\r\n\r\n", 1)
    del block
    with open("/proc/self/clear_refs", "w") as stream:
        stream.write("5")  # the peak begins anew
    for record in Reader(io.BytesIO(archive), name, Ledger(), max_payload_bytes=most):
        given = (record.kind, record.status, record.content_type, record.payload)
        answers = {digest(page_text(*given, config)) for _ in range(2)}
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    print((name, int(status["VmHWM"].split()[0]) // 1024, *answers))
    del record, given
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of a process's memory is read from /proc")
def test_dear_pages_are_bounded_in_memory() -> None:
    done = subprocess.run([sys.executable, "-c", PAGES], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    rows = [ast.literal_eval(line) for line in done.stdout.splitlines()]
    print(done.stdout)
    assert [len(row) for row in rows] == [3] * 33  # the same answer each time
    assert [row for row in rows if row[1] >= 300] == []
