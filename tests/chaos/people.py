"""Simulated people who use the gateways during faults, and check their promises."""

from __future__ import annotations

import asyncio
import itertools
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import redis

from tests.chaos.following import Follower, sent_by_socket
from tests.chaos.ledger import LIMIT_S
from tests.chaos.reading import SILENCE_S, Tab, WrongError
from tests.support.sessions import text_of, user_message
from tests.support.wire import ConnectionLost

if TYPE_CHECKING:
    import random

    from tests.chaos.ledger import Ledger
    from tests.chaos.reading import Answer
    from tests.chaos.world import World

PARTS: Final = ("meta", "log", "runs", "msg")
TURNS: Final = {
    "plain": 8, "stop": 3, "twice": 3, "prevent": 1, "other tab": 2, "interrupt": 2, "fail": 2,
    "evict": 3, "again": 3,
}  # fmt: skip
AGENTS: Final = ("assistant", "responses", "completions")
FAILURES: Final = ("[[error=overloaded after=8]]", "[[cut after=9]]", "[[malformed after=4]]")
SOCKET_OFTEN: Final = 0.4
TWICE_OFTEN: Final = 0.3
MARGIN_S: Final = 3.0
"""Time beyond an answer's own length: for a busy machine, and a provider's retry."""


class LostSessionError(Exception):
    """The session is gone, because the driver evicted a part of it."""


class Conversation:
    """One session, from its first message."""

    def __init__(self, name: str) -> None:
        self.id = name
        self.epoch: str | None = None
        self.may_be_torn = False
        self.is_torn = False
        self.followers: dict[Follower, asyncio.Task[None]] = {}


class Person:
    """Has conversations, one session after the other, until `leave`.

    Attributes:
        turns: the number of completed turns.
    """

    def __init__(
        self, name: str, world: World, ledger: Ledger, choose: random.Random, *, longest: int
    ) -> None:
        self.turns = 0
        self._name = name
        self._world = world
        self._ledger = ledger
        self._choose = choose
        self._longest = longest
        self._leaving = False
        self._turned = asyncio.Event()

    async def until_turn(self, number: int) -> None:
        """Wait until `number` turns are completed."""
        while self.turns < number:
            self._turned.clear()
            await self._turned.wait()

    def leave(self) -> None:
        """End after the present turn."""
        self._leaving = True

    async def talk(self) -> None:
        """Have conversations."""
        for number in itertools.count():
            talk = Conversation(f"{self._name}-{number}")
            for _ in range(self._choose.choice([0, 0, 1, 2])):
                follower = Follower(self._world, self._ledger, self._choose, talk.id)
                talk.followers[follower] = asyncio.create_task(follower.follow(), name="follower")
            for _ in range(self._choose.randint(1, 4)):
                if self._leaving:
                    await self._close(talk)
                    return
                (kind,) = self._choose.choices(list(TURNS), weights=list(TURNS.values()))
                self._ledger.saw(f"turn: {kind}")
                try:
                    await self._turn(talk, kind)
                except LostSessionError:
                    self._ledger.saw("a session that was torn, and is lost")
                except WrongError as wrong:
                    self._ledger.wrong(str(wrong), turn=kind, session=talk.id)
                self.turns += 1
                self._turned.set()
                if talk.may_be_torn:
                    break
            await self._close(talk)
            if self._choose.random() < 0.2 and not talk.may_be_torn:
                await self._erase(talk)

    async def _erase(self, talk: Conversation) -> None:
        self._ledger.fault("session erased")
        try:
            await self._say(talk, "DELETE", f"/api/chat/{talk.id}", None, {204})
        except WrongError as wrong:
            self._ledger.wrong(str(wrong), session=talk.id)

    async def _close(self, talk: Conversation) -> None:
        """End the followers, and raise their errors."""
        for task in talk.followers.values():
            task.cancel()
        for ended in await asyncio.gather(*talk.followers.values(), return_exceptions=True):
            if isinstance(ended, WrongError):
                self._ledger.wrong(str(ended), session=talk.id)
            elif not isinstance(ended, asyncio.CancelledError) and ended is not None:
                raise ended

    # -- what they do -------------------------------------------------------------------------

    async def _turn(self, talk: Conversation, kind: str) -> None:
        choose, number = self._choose, self.turns
        tokens, rate = choose.randint(5, self._longest), choose.choice([20, 40, 80])
        text = f"Question {number} of {talk.id} [[tokens={tokens} rate={rate} first=0]]"
        if kind == "fail":
            text += " " + choose.choice(FAILURES)
        body = self._body(talk, text, f"u-{talk.id}-{number}")
        takes_s = tokens / rate + MARGIN_S
        if kind == "prevent":
            self._ledger.fault("stop before its send")
            await self._stop(talk, {"requestId": body["requestId"]})
        by_socket = None
        if kind in ("plain", "fail") and choose.random() < SOCKET_OFTEN:
            by_socket = await sent_by_socket(self._world, self._ledger, choose, body)
        run = await self._send(talk, body, twice=kind == "twice")
        due = asyncio.get_running_loop().time() + takes_s
        later = await self._read(talk, kind, body, run, due)
        if by_socket is not None:
            await self._compare(talk, by_socket, run, due)
        if later is not None:
            tab = self._tab(talk, later)
            await self._in_time(
                talk, tab, asyncio.create_task(tab.read()), due, "a reader waits on"
            )
        await self._look(talk, body, due, is_alone=kind not in ("interrupt", "other tab"))
        if kind == "again":
            await self._ask_again(talk, body, takes_s)

    async def _read(
        self, talk: Conversation, kind: str, body: dict[str, Any], run: str, due: float
    ) -> str | None:
        """Read an answer in some tabs, and compare their chunks with the stored message.

        Returns:
            A run that this turn has begun meanwhile.
        """
        tabs = [self._tab(talk, run) for _ in range(self._choose.choice([1, 1, 2, 3]))]
        reading = [asyncio.create_task(tab.read()) for tab in tabs]
        try:
            takes_s = due - asyncio.get_running_loop().time()
            later = await self._meanwhile(talk, kind, body, run, takes_s)
            for tab, task in zip(tabs, reading, strict=True):
                await self._in_time(talk, tab, task, due, f"a reader of {run} waits on")
                if not talk.may_be_torn and task.result():
                    await self._compare(talk, tab.answer, run, due)
            due = max(tab.answer.due(due) for tab in tabs)
            await self._followed(talk, run, due)
        finally:
            for task in reading:
                task.cancel()
            await asyncio.gather(*reading, return_exceptions=True)
        return later

    async def _ask_again(self, talk: Conversation, body: dict[str, Any], takes_s: float) -> None:
        """Regenerate the answer, which replaces the one before."""
        session = await self._say(talk, "GET", f"/api/chat/{talk.id}", None, {200})
        before = session["messages"][-1]
        if before["role"] != "assistant":
            return
        more = {"trigger": "regenerate-message", "messageId": before["id"]}
        again = {**body, **more, "requestId": f"{body['requestId']}-again"}
        run = await self._send(talk, again, twice=self._choose.random() < TWICE_OFTEN)
        due = asyncio.get_running_loop().time() + takes_s
        await self._read(talk, "again", again, run, due)
        await self._look(talk, body, due, is_alone=True)
        session = await self._ended(talk, run, due)
        newest = session["runs"][-1]
        if newest["id"] != run:
            raise WrongError(f"{run} was asked for again, and {newest['id']} is the newest")
        kept = [message["id"] for message in session["messages"]]
        if before["id"] in kept and before["id"] != newest["messageId"]:
            raise WrongError(f"an answer was asked for again, and both are shown: {kept}")

    async def _meanwhile(
        self, talk: Conversation, kind: str, body: dict[str, Any], run: str, takes_s: float
    ) -> str | None:
        """Do the turn's action during the answer; return a run that it began."""
        if kind not in ("stop", "evict", "other tab", "interrupt"):
            return None
        await asyncio.sleep(self._choose.uniform(0, takes_s * 0.6))
        if kind == "stop":
            self._ledger.fault("stop from a tab")
            named = [{}, {"runId": run}, {"requestId": body["requestId"]}]
            await self._stop(talk, self._choose.choice(named))
        elif kind == "evict":
            await self._evict(talk)
        elif kind == "other tab":
            self._ledger.fault("conflicting send")
            other = self._body(talk, "another", f"{body['messages'][0]['id']}x")
            with suppress(ConnectionLost, TimeoutError, OSError):
                await self._post_once(other)
        else:
            self._ledger.fault("interrupting send")
            rather = self._body(talk, "rather this [[tokens=6 rate=40 first=0]]", "")
            return await self._send(talk, {**rather, "onActive": "interrupt"})
        return None

    async def _evict(self, talk: Conversation) -> None:
        """Delete some keys of the session in Redis, as an eviction policy does."""
        parts = self._choose.sample(PARTS, self._choose.randint(1, len(PARTS)))
        talk.may_be_torn = True
        keys = [f"ms:{{{talk.id}}}:{part}" for part in parts]
        with suppress(redis.RedisError):
            client = await asyncio.to_thread(self._world.client_of, talk.id)
            talk.is_torn = await asyncio.to_thread(client.delete, *keys) > 0
            self._ledger.fault("parts of a session evicted")

    def _body(self, talk: Conversation, text: str, message_id: str) -> dict[str, Any]:
        key = f"{self._choose.randrange(1 << 48):012x}"
        return {
            "id": talk.id,
            "trigger": "submit-message",
            "messages": [user_message(text, message_id or f"u-{key}")],
            "agent": self._choose.choice(AGENTS),
            "requestId": key,
        }

    def _tab(self, talk: Conversation, run: str) -> Tab:
        return Tab(self._world, self._ledger, self._choose, talk.id, run)

    # -- asking -------------------------------------------------------------------------------

    async def _post_once(self, body: dict[str, Any]) -> tuple[int, str]:
        """Send once; return the status, and the run's id or the error's text."""
        at = self._world.endpoint(self._choose)
        async with asyncio.timeout(SILENCE_S), at.request("POST", "/api/chat", body) as response:
            if response.status == 200:
                return 200, response.headers["x-midstream-run-id"]
            return response.status, (await response.body()).decode()

    async def _send(self, talk: Conversation, body: dict[str, Any], *, twice: bool = False) -> str:
        """Send until it is accepted; return its run."""
        since = asyncio.get_running_loop().time()
        runs: set[str] = set()
        while len(runs) < 1:
            tries = [self._post_once(body) for _ in range(2 if twice else 1)]
            if twice:
                self._ledger.fault("send sent twice at once")
            for answer in await asyncio.gather(*tries, return_exceptions=True):
                if isinstance(answer, (ConnectionLost, TimeoutError, OSError)):
                    self._ledger.saw("a connection lost")
                elif isinstance(answer, BaseException):
                    raise answer
                elif answer[0] == 200:
                    runs.add(answer[1])
                else:
                    self._judge(talk, *answer, since)
            await asyncio.sleep(self._choose.uniform(0.02, 0.3))
        if len(runs) > 1:
            raise WrongError(f"one send has several runs: {runs}")
        return runs.pop()

    def _judge(self, talk: Conversation, status: int, said: str, since: float) -> None:
        """Judge a refused send: note a refusal that is not allowed, otherwise let it be retried."""
        self._ledger.saw(f"send refused: {status}")
        late = self._ledger.overdue_s(since)
        if status in (502, 503) or (status == 409 and "run_active" in said):
            if late <= LIMIT_S:
                return
        elif talk.may_be_torn:
            raise LostSessionError
        raise WrongError(f"a send was refused, {late:.1f} s after all was well: {status} {said}")

    async def _stop(self, talk: Conversation, named: dict[str, str]) -> None:
        await self._say(talk, "POST", f"/api/chat/{talk.id}/stop", named, {200})

    async def _say(
        self, talk: Conversation, method: str, path: str, body: object, right: set[int]
    ) -> Any:
        """Repeat a request until it is answered."""
        since = asyncio.get_running_loop().time()
        while True:
            status, said = 0, None
            try:
                async with asyncio.timeout(2 * SILENCE_S):
                    at = self._world.endpoint(self._choose)
                    async with at.request(method, path, body) as response:
                        status, said = response.status, await response.body()
            except (ConnectionLost, TimeoutError, OSError):
                self._ledger.saw("a connection lost")
            if status in right:
                return json.loads(said) if said else None
            if status == 404 and method == "DELETE":
                return None  # an attempt whose answer was lost has done it
            if status == 404 and talk.may_be_torn:
                raise LostSessionError
            late = self._ledger.overdue_s(since)
            if status not in (0, 503) or late > LIMIT_S + 2 * SILENCE_S:
                raise WrongError(
                    f"{method} {path} {late:.1f} s after all was well: {status} {said!r}"
                )
            await asyncio.sleep(0.2)

    # -- checks -------------------------------------------------------------------------------

    async def _in_time(
        self, talk: Conversation, tab: Tab, task: asyncio.Task[bool], due: float, what: str
    ) -> None:
        """Wait for a reader's end, which must arrive in time."""
        while not task.done():
            await asyncio.wait({task}, timeout=0.2)
            late = self._ledger.overdue_s(tab.answer.due(due))
            if late > LIMIT_S and not task.done():
                task.cancel()
                raise WrongError(f"{what}, {late:.1f} s after all was well")
        try:
            whole = task.result()
        except WrongError as wrong:
            if talk.may_be_torn and str(wrong).startswith(("410 ", "404 ")):
                raise LostSessionError from None
            raise
        late = self._ledger.overdue_s(due)
        if late >= 0:
            self._ledger.late_s.append(late)
        self._ledger.saw("answer read whole" if whole else "answer that had ended")

    async def _ended(self, talk: Conversation, run: str, due: float) -> Any:
        """Wait until the session's snapshot shows a run's end; return the snapshot."""
        while True:
            session = await self._say(talk, "GET", f"/api/chat/{talk.id}", None, {200})
            newest = session["runs"][-1]
            if newest["id"] != run or newest["state"] == "ended":
                return session
            late = self._ledger.overdue_s(due)
            if late > LIMIT_S:
                raise WrongError(f"{run} is {newest['state']}, {late:.1f} s after all was well")
            await asyncio.sleep(0.2)

    async def _followed(self, talk: Conversation, run: str, due: float) -> None:
        """Check that the followers see the end, too, or that the session is lost."""
        for follower in talk.followers:
            while not (follower.is_past(run) or talk.followers[follower].done()):
                if talk.may_be_torn and follower.lost:
                    break
                late = self._ledger.overdue_s(due)
                if late > LIMIT_S:
                    raise WrongError(f"a follower waits for {run}, {late:.1f} s after all was well")
                await asyncio.sleep(0.1)

    async def _compare(self, talk: Conversation, answer: Answer, run: str, due: float) -> None:
        """Check that the text that was read equals the stored text."""
        session = await self._ended(talk, run, due)
        newest = session["runs"][-1]
        if newest["id"] != run:
            return
        kept = next((m for m in session["messages"] if m["id"] == newest["messageId"]), None)
        text = "" if kept is None else text_of(kept)
        if text != answer.text:
            raise WrongError(
                f"{run} ({newest.get('outcome')}) is kept as …{text[-80:]!r} ({len(text)}), "
                f"and was read as …{answer.text[-80:]!r} ({len(answer.text)})"
            )
        self._ledger.saw(f"outcome: {newest.get('outcome')}")

    async def _look(
        self, talk: Conversation, body: dict[str, Any], due: float, *, is_alone: bool
    ) -> None:
        """Check that no message is lost or doubled, and that a torn session is not shown."""
        session = await self._say(talk, "GET", f"/api/chat/{talk.id}", None, {200})
        if talk.is_torn and session["epoch"] == talk.epoch:
            raise WrongError(f"a torn session is shown: {len(session['messages'])} messages")
        if talk.may_be_torn:
            return
        ids = [message["id"] for message in session["messages"]]
        if len(set(ids)) != len(ids):
            raise WrongError(f"a message is there twice: {ids}")
        asked = body["messages"][0]["id"]
        if is_alone and ids.count(asked) != 1:
            raise WrongError(f"{asked} was accepted, and is not there: {ids}")
        if talk.epoch not in (None, session["epoch"]):
            raise WrongError("the session has begun anew")
        talk.epoch = session["epoch"]
