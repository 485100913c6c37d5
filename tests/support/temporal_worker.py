"""A worker of Temporal in a process of its own, whose activity writes an answer word by word.

Prints `claimed N` when an attempt has begun with N words, each word, and `ended OUTCOME`.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from dataclasses import dataclass
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.common import RetryPolicy
from temporalio.worker import Worker

with workflow.unsafe.imports_passed_through():
    from midstream.client import Midstream
    from midstream.temporal import activity_run
    from tests.support.sessions import text_of

WHOLE = [f"word-{number} " for number in range(100)]
QUEUE = "answers"


@dataclass
class Question:
    """What a workflow asks."""

    session: str
    text: str


class Answers:
    """The activities."""

    def __init__(self, client: Midstream, silent_after: int | None) -> None:
        self._client = client
        self._silent_after = silent_after

    @activity.defn(name="answer")
    async def answer(self, question: Question) -> str:
        """Write the answer; be silent for ever after so many words."""
        async with activity_run(self._client, question.session, text=question.text) as run:
            said = len(text_of(run.message).split())
            print("claimed", said, flush=True)  # noqa: T201
            for count, word in enumerate(WHOLE[said:], said):
                if count == self._silent_after:
                    await run.flush()
                    print("silent", flush=True)  # noqa: T201
                    await asyncio.Event().wait()
                await run.text(word)
                await asyncio.sleep(0.004)
        return text_of(run.message)


@workflow.defn(name="conversation")
class Conversation:
    """Asks one question."""

    @workflow.run
    async def run(self, question: Question) -> str:
        """Return the answer's text."""
        answer: str = await workflow.execute_activity(
            "answer",
            question,
            result_type=str,
            start_to_close_timeout=timedelta(minutes=5),
            heartbeat_timeout=timedelta(seconds=3),
            retry_policy=RetryPolicy(initial_interval=timedelta(milliseconds=50)),
        )
        return answer


async def main() -> None:
    """Work until it is killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("temporal")
    parser.add_argument("urls")
    parser.add_argument("key")
    parser.add_argument("--silent-after", type=int)
    asked = parser.parse_args()
    connection = await Client.connect(asked.temporal)
    async with Midstream(asked.urls.split(","), key=asked.key) as client:
        answers = Answers(client, asked.silent_after)
        worker = Worker(
            connection, task_queue=QUEUE, workflows=[Conversation], activities=[answers.answer]
        )
        print("ready", flush=True)  # noqa: T201
        await worker.run()


if __name__ == "__main__":
    asyncio.run(main())
    sys.exit(0)
