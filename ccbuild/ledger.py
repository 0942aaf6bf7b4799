"""The account of a unit of work: what came in is what was kept, dropped or quarantined.

A ledger holds one account for each thing that is counted (``records``, ``bytes``, ``documents``,
``paragraphs``…). Each account balances by itself: seen = kept + each drop reason + each
quarantine cause. Ledgers of units add up to the ledger of a verb. Every reason is one that
:mod:`ccbuild.reasons` explains, or that the stage which gives it explained to the ledger.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ccbuild.errors import LedgerError
from ccbuild.reasons import find

__all__ = ["Account", "Ledger"]


@dataclass(slots=True)
class Account:
    """One balance: `seen` = `kept` + sum of `dropped` + sum of `quarantined`."""

    seen: int = 0
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    quarantined: Counter[str] = field(default_factory=Counter)

    @property
    def difference(self) -> int:
        """seen minus all that is accounted for; 0 when the account balances."""
        return self.seen - self.kept - self.dropped.total() - self.quarantined.total()

    def keep(self, n: int = 1) -> None:
        """Count `n` as seen and kept."""
        self.seen += n
        self.kept += n

    def drop(self, reason: str, n: int = 1) -> None:
        """Count `n` as seen and dropped for `reason`."""
        self.seen += n
        self.dropped[reason] += n

    def quarantine(self, cause: str, n: int = 1) -> None:
        """Count `n` as seen and quarantined for `cause`."""
        self.seen += n
        self.quarantined[cause] += n

    def take_back(self, cause: str, n: int = 1) -> None:
        """Count `n` that were kept as quarantined for `cause` after all."""
        self.kept -= n
        self.quarantined[cause] += n


@dataclass(slots=True)
class Ledger:
    """Named accounts of one unit of work, or of many added up.

    >>> ledger = Ledger()
    >>> ledger["documents"].keep(2)
    >>> ledger["documents"].drop("too_short")
    >>> ledger.close("example").to_mapping()["documents"]
    {'seen': 3, 'kept': 2, 'dropped': {'too_short': 1}, 'quarantined': {}}
    """

    accounts: dict[str, Account] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict, compare=False)
    """What the reasons of a user's stages mean; add to it with `know`."""

    def __getitem__(self, name: str) -> Account:
        """The account `name`, opened when it is first asked for."""
        account = self.accounts.get(name)
        if account is None:
            account = self.accounts[name] = Account()
        return account

    def know(self, reasons: Mapping[str, str]) -> None:
        """Take the reasons of a user's stage, name to meaning, for known; `LedgerError` for one with two meanings."""
        for name, meaning in reasons.items():
            known = find(name)
            before = known.meaning if known else self.reasons.setdefault(name, meaning)
            if before != meaning:
                raise LedgerError(
                    f"The reason {name!r} means {before!r} already, and a stage says that it means {meaning!r}. "
                    "Give the stage's reason another name."
                )

    def close(self, unit: str) -> Ledger:
        """This ledger, checked: `LedgerError` names the unit, the account, and what of it does not balance or is not
        known."""
        for name, account in self.accounts.items():
            if account.difference:
                raise LedgerError(
                    f"{unit}: the account of {name} does not balance by {account.difference}: {account}. "
                    "Nothing was committed for this unit; please report this line."
                )
            for reason in (*account.dropped, *account.quarantined):
                if reason not in self.reasons and find(reason) is None:
                    raise LedgerError(
                        f"{unit}: the account of {name} has the reason {reason!r}, which nobody explains. Nothing was "
                        "committed for this unit. Say what it means in ccbuild/reasons.py, or in the stage's `reasons`."
                    )
        return self

    def to_mapping(self) -> dict[str, Any]:
        """JSON-ready, with sorted keys, so that equal ledgers give equal bytes."""
        return {
            name: {
                "seen": a.seen,
                "kept": a.kept,
                "dropped": {k: a.dropped[k] for k in sorted(a.dropped) if a.dropped[k]},
                "quarantined": {k: a.quarantined[k] for k in sorted(a.quarantined) if a.quarantined[k]},
            }
            for name, a in sorted(self.accounts.items())
        }

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Ledger:
        """The inverse of :meth:`to_mapping`."""
        ledger = cls()
        ledger.add(mapping)
        return ledger

    def add(self, mapping: Mapping[str, Any]) -> None:
        """Add what a unit's ledger said by :meth:`to_mapping`, account by account."""
        for name, account in mapping.items():
            into = self[name]
            into.seen += account["seen"]
            into.kept += account["kept"]
            for reason, number in account["dropped"].items():
                into.dropped[reason] += number
            for cause, number in account["quarantined"].items():
                into.quarantined[cause] += number

    @classmethod
    def total(cls, ledgers: Iterable[Ledger]) -> Ledger:
        """The sum over units, account by account."""
        result = cls()
        for ledger in ledgers:
            result.know(ledger.reasons)
            for name, account in ledger.accounts.items():
                into = result[name]
                into.seen += account.seen
                into.kept += account.kept
                into.dropped.update(account.dropped)
                into.quarantined.update(account.quarantined)
        return result
