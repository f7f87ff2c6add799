"""The control store in memory."""

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from tasklane.declaration import Declaration
from tasklane.ports import Pause
from tasklane.throttle import Limit, LimitState
from tasklane.timetable import Changed, Full, Granted, SlotRequest, Timetable, reserve


class MemoryDeclarations:
    """Declared task types in a dictionary."""

    def __init__(self) -> None:
        self._declarations: dict[str, Declaration] = {}

    def declaration(self, name: str) -> Declaration | None:
        """See ControlStore."""
        return self._declarations.get(name)

    def declarations(self, start: str | None, limit: int) -> list[Declaration]:
        """See ControlStore."""
        names = sorted(name for name in list(self._declarations) if start is None or name.encode() > start.encode())
        return [self._declarations[name] for name in names[:limit]]

    def declare(self, declaration: Declaration, *, replace: bool) -> Declaration:
        """See ControlStore."""
        if replace:
            self._declarations[declaration.name] = declaration
            return declaration
        return self._declarations.setdefault(declaration.name, declaration)


class MemoryControlStore(MemoryDeclarations):
    """Decisions in a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self._pauses: dict[str, Pause] = {}
        self._limits: dict[str, Limit] = {}
        self._in_use: Counter[str] = Counter()
        self._timetables: dict[str, Timetable] = {}
        self._given_up: Counter[str] = Counter()
        self._sinces: Counter[str] = Counter()
        self._waited_for: dict[str, int] = {}
        self._lock = threading.Lock()

    def pauses(self) -> list[Pause]:
        """See ControlStore."""
        with self._lock:
            return list(self._pauses.values())

    def put_pause(self, pause: Pause) -> Pause:
        """See ControlStore."""
        with self._lock:
            there = self._pauses.get(pause.target)
            if there is None or there.resumed_at is not None:
                self._pauses[pause.target] = pause
            return self._pauses[pause.target]

    def end_pause(self, target: str, now: int) -> Pause | None:
        """See ControlStore."""
        with self._lock:
            there = self._pauses.get(target)
            if there is not None and there.resumed_at is None:
                self._pauses[target] = replace(there, resumed_at=now)
            return self._pauses.get(target)

    def put_limit(self, limit: Limit, *, before: Limit | None) -> bool:
        """See ControlStore."""
        with self._lock:
            there = self._limits.get(limit.key)
            if before is not None and before.rate == limit.rate:
                if there is None or there.rate != limit.rate:
                    return False
                limit = replace(there, max_concurrent=limit.max_concurrent)
            elif (there and there.since) != (before and before.since) or self._sinces[limit.key] >= limit.since:
                return False
            else:
                self._timetables.pop(limit.key, None)
                self._given_up.pop(limit.key, None)
            self._limits[limit.key] = limit
            self._sinces[limit.key] = limit.since
            return True

    def remove_limit(self, key: str) -> None:
        """See ControlStore."""
        with self._lock:
            self._limits.pop(key, None)

    def limits(self, keys: Sequence[str]) -> dict[str, LimitState]:
        """See ControlStore."""
        with self._lock:
            return {
                key: LimitState(
                    limit=self._limits[key],
                    in_use=self._in_use[key],
                    reserved_until=self._timetables[key].next_at // 1000 if key in self._timetables else 0,
                    given_up=self._given_up[key],
                )
                for key in keys
                if key in self._limits
            }

    def limit_keys(self, start: str | None, count: int) -> list[str]:
        """See ControlStore."""
        with self._lock:
            return sorted((key for key in self._limits if start is None or key > start), key=str.encode)[:count]

    def reserve(self, limit: Limit, now: int, count: int) -> list[int] | None:
        """See ControlStore."""
        answers = self.reserve_together({limit.key: limit}, [SlotRequest(keys=(limit.key,), at=now)] * count)
        return [answer.at for answer in answers if isinstance(answer, Granted)] or None

    def reserve_together(
        self, limits: Mapping[str, Limit], requests: Sequence[SlotRequest]
    ) -> list[Granted | Full | Changed]:
        """See ControlStore."""
        with self._lock:
            keys = [key for key, limit in limits.items() if self._is_since(limit)]
            tables = {key: self._timetable(limits[key], min(one.at for one in requests) * 1000) for key in keys}
            answers = reserve(tables, requests)
            for key, table in tables.items():
                if table.is_changed:
                    self._timetables[key] = table
                    self._given_up[key] += table.given_up
        return answers

    def give_up(self, key: str, count: int) -> None:
        """See ControlStore."""
        with self._lock:
            if key in self._limits and self._limits[key].rate is not None:
                self._given_up[key] += count

    def close_gaps(self, limit: Limit, now: int) -> Limit | None:
        """See ControlStore."""
        with self._lock:
            there = self._limits.get(limit.key)
            if there is None or there.rate is None or there.since != limit.since:
                return None
            next_at = limit.kept_until * 1000 + there.rate.burst * there.rate.interval_us
            if self._timetable(there, 0).next_at <= next_at:
                return None
            self._timetables[limit.key] = Timetable(there.rate, next_at)
            self._given_up.pop(limit.key, None)
            self._sinces[limit.key] = max(now, there.since + 1)
            self._limits[limit.key] = replace(
                there, since=self._sinces[limit.key], kept_since=there.since, kept_until=limit.kept_until
            )
            return self._limits[limit.key]

    def _is_since(self, limit: Limit) -> bool:
        return limit.key in self._limits and self._limits[limit.key].since == limit.since

    def _timetable(self, limit: Limit, now: int) -> Timetable:
        assert limit.rate is not None  # noqa: S101 - what the caller looked for
        there = self._timetables.get(limit.key)
        return Timetable(limit.rate, there.next_at, there.free, now=now) if there else Timetable(limit.rate, now=now)

    def note_waiting(self, key: str, until: int) -> None:
        """See ControlStore."""
        with self._lock:
            self._waited_for[key] = until

    def waited_for(self) -> dict[str, int]:
        """See ControlStore."""
        with self._lock:
            return dict(self._waited_for)

    def forget_waiting(self, key: str, until: int) -> None:
        """See ControlStore."""
        with self._lock:
            if self._waited_for.get(key) == until:
                del self._waited_for[key]

    def take(self, keys: Sequence[str]) -> str | None:
        """Count one more task towards each of these, or none of them: then the first that has no room."""
        with self._lock:
            for key in keys:
                most = self._limits[key].max_concurrent if key in self._limits else None
                if most is not None and self._in_use[key] >= most:
                    return key
            self._in_use.update(keys)
            return None

    def give_back(self, keys: Sequence[str]) -> None:
        """Count one task less towards each of these."""
        with self._lock:
            self._in_use.subtract(keys)

    def forget_pause(self, pause: Pause) -> bool:
        """See ControlStore."""
        with self._lock:
            if self._pauses.get(pause.target) not in (None, pause):
                return False
            self._pauses.pop(pause.target, None)
            return True
