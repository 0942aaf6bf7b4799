"""The account of a unit of work: what came in is what was kept, dropped or quarantined.

A ledger holds one account for each thing that is counted (``records``, ``bytes``, ``documents``,
``paragraphs``…). Each account balances by itself: seen = kept + each drop reason + each
quarantine cause. Ledgers of units add up to the ledger of a verb.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ccbuild.errors import LedgerError

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


@dataclass(slots=True)
class Ledger:
    """Named accounts of one unit of work, or of many added up."""

    accounts: dict[str, Account] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Account:
        """The account `name`, opened when it is first asked for."""
        account = self.accounts.get(name)
        if account is None:
            account = self.accounts[name] = Account()
        return account

    def know(self, reasons: Mapping[str, str]) -> None:
        """Take reasons of a stage from outside, each with its meaning."""

    def close(self, unit: str) -> Ledger:
        """This ledger, checked: `LedgerError` names the unit and the account that does not balance."""
        for name, account in self.accounts.items():
            if account.difference:
                raise LedgerError(
                    f"{unit}: the account of {name} does not balance by {account.difference}: {account}. "
                    "Nothing was committed for this unit; please report this line."
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
        return cls(
            {
                name: Account(a["seen"], a["kept"], Counter(a["dropped"]), Counter(a["quarantined"]))
                for name, a in mapping.items()
            }
        )

    @classmethod
    def total(cls, ledgers: Iterable[Ledger]) -> Ledger:
        """The sum over units, account by account."""
        result = cls()
        for ledger in ledgers:
            for name, account in ledger.accounts.items():
                into = result[name]
                into.seen += account.seen
                into.kept += account.kept
                into.dropped.update(account.dropped)
                into.quarantined.update(account.quarantined)
        return result
