"""One walk through the log that feeds all rule checks, each with the floor as it was before the event."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple

from agentrooms.events.record import Recorded
from agentrooms.sim.archive import Manifest
from agentrooms.sim.audit.floor import Floor
from agentrooms.sim.audit.report import Check, Findings, Progress, guarded, not_run
from agentrooms.sim.audit.source import ELSEWHERE, HIDDEN, STEP, Log, Source, Vault

EVERY = "*"  # a handler of every type that stands in whole chains
_ASIDE = (HIDDEN, ELSEWHERE)


class Line(NamedTuple):
    """One event on the walk; `floor` is its room's before it."""

    number: int
    recorded: Recorded
    floor: Floor

    @property
    def event(self) -> Any:  # noqa: ANN401 - a handler knows the type it asked for
        """The event itself."""
        return self.recorded.event


Handler = Callable[[Line], None]


class Rule(ABC):
    """One check that reads the log from its beginning to its end."""

    name: ClassVar[str]
    compared: ClassVar[str]

    def __init__(self, source: Source) -> None:
        self.manifest: Manifest | None = source.manifest
        self.vault: Vault | None = source.vault
        self.live, self.partial = source.live, source.partial
        self.found = Findings(self.name, source.log.place)
        self.floors: dict[str, Floor] = {}

    @abstractmethod
    def handlers(self) -> dict[str, Handler]:
        """Returns what to call for which event types."""

    def finish(self) -> None:  # noqa: B027 - most rules leave nothing open
        """Looks at what is left open at the log's end."""

    def check(self) -> Check:
        """Returns the result after the walk."""
        return self.found.check(self.compared)


def walk(log: Log, rules: Sequence[Rule], progress: Progress) -> list[Check]:
    """Returns the checks of all rules. One that stumbles over bytes nobody thought of fails, the others go on."""
    floors: dict[str, Floor] = {}
    stumbled: dict[str, Check] = {}
    steps = log.steps()
    by_type = _by_type(steps, rules)
    for number, recorded in steps:
        if number % STEP == 1:
            progress("rules", number - 1, len(log.lines))
        floor = floors.get(recorded.chain)
        if floor is None:
            floor = floors[recorded.chain] = Floor()
        line = Line(number, recorded, floor)
        for rule, handle in by_type[recorded.type]:
            try:
                handle(line)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding about this line
                why = f"{type(error).__name__}: {error}"
                stumbled.setdefault(rule.name, Check(rule.name, False, rule.found.count, log.place(number), why))
        floor.apply(number, recorded.event)
    return [stumbled.get(rule.name) or guarded(rule.name, lambda r=rule: _finish(r, floors)) for rule in rules]  # type: ignore[misc]


def _finish(rule: Rule, floors: dict[str, Floor]) -> Check:
    rule.floors = floors
    rule.finish()
    return rule.check()


def _by_type(steps: Sequence[tuple[int, Recorded]], rules: Sequence[Rule]) -> dict[str, list[tuple[Rule, Handler]]]:
    """Returns the handlers of each type in the log."""
    tables = [(rule, rule.handlers()) for rule in rules]
    return {
        name: [
            (rule, table[key])
            for rule, table in tables
            for key in ((name,) if name in _ASIDE else (EVERY, name))
            if key in table
        ]
        for name in {recorded.type for _number, recorded in steps}
    }


def skipped(rules: Sequence[type[Rule]], why: str) -> list[Check]:
    """Returns the failed checks of rules that cannot run."""
    return [not_run(rule.name, why) for rule in rules]
