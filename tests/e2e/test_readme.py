"""The README's commands, pasted into a shell, do as promised."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.processes import REPOSITORY, ChildProcess, free_port
from tests.support.recipes import write_recipes
from tests.support.sessions import text_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.fixtures import Deployment


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """The address of a server that `make run` has started."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    process = ChildProcess(
        "make run",
        ["make", "--no-print-directory", "run"],
        tmp_path / "log",
        {
            "MIDSTREAM_SERVER_PORT": str(port),
            "MIDSTREAM_REDIS_DATA_DIR": str(tmp_path / "data"),
        },
    )

    def answers() -> bool:
        assert process.exit_code is None, process.output()
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=2) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except OSError:
            return False

    try:
        process.wait_ready(answers)
        load_provider(url)
        yield url
    finally:
        process.end()


def load_provider(url: str) -> None:
    """Get one answer: the first one waits for the provider's SDK, seconds on a busy machine."""
    body = {
        "id": "first",
        "trigger": "submit-message",
        "messages": [{"id": "m", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}],
    }
    request = urllib.request.Request(f"{url}/api/chat", json.dumps(body).encode())  # noqa: S310
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        answer.read()


def curl_block() -> str:
    """Return the README's block of commands."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", (REPOSITORY / "README.md").read_text(), re.M | re.S)
    (block,) = [block for block in blocks if "GATEWAY=" in block]
    return str(block)


def chunks(output: str) -> list[dict[str, Any]]:
    """Return the chunks in what `curl -N` printed, whole events only."""
    found = re.findall(r"^data: (\{.*\})$", output, re.M)
    return [json.loads(data) for data in found]


def test_person_pastes_the_curl_lines_and_they_do_what_the_readme_says(served: str) -> None:
    """Send and lose the connection, come back, stop, and read the history."""
    commands = re.split(r"(?=^# )", curl_block(), flags=re.M)
    script = 'echo "=== next"\n'.join(commands)

    done = subprocess.run(
        ["sh"],  # noqa: S607
        input=script,
        env={**os.environ, "GATEWAY": served, "no_proxy": "*"},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )

    assert done.stderr == ""
    _, sent, resumed, stopped, kept = done.stdout.split("=== next\n")
    first, second = chunks(sent), chunks(resumed)
    assert first[0]["type"] == second[0]["type"] == "start"
    assert first[0]["messageId"] == second[0]["messageId"]
    text = "".join(chunk["delta"] for chunk in first if chunk["type"] == "text-delta")
    more = "".join(chunk["delta"] for chunk in second if chunk["type"] == "text-delta")
    assert more.startswith(text)
    assert len(more) > len(text) > 0
    assert len(json.loads(stopped)["stopped"]) == 1
    snapshot = json.loads(kept)
    assert [message["role"] for message in snapshot["messages"]] == ["user", "assistant"]
    assert more in json.dumps(snapshot["messages"][1], ensure_ascii=False).replace("\\n", "\n")


def python_block(word: str) -> str:
    """Return the README's program that has a word."""
    blocks = re.findall(
        r"^```python\n(.*?)^```$", (REPOSITORY / "README.md").read_text(), re.M | re.S
    )
    (block,) = [block for block in blocks if word in block]
    return str(block)


def test_person_pastes_the_push_program_and_its_answer_is_kept(deployment: Deployment) -> None:
    """It prints its run's outcome; a second run repeats no word."""
    at = deployment.gateways[0].at
    for _ in range(2):
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-c", python_block("midstream.client")],
            env={**os.environ, "GATEWAY": at.url, "PYTHONPATH": str(REPOSITORY / "src")},
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )
        assert (done.stdout, done.stderr) == ("finished\n", "")
    with urllib.request.urlopen(f"{at.url}/api/chat/rivers", timeout=10) as answer:  # noqa: S310
        snapshot = json.load(answer)
    assert [message["role"] for message in snapshot["messages"]] == ["user", "assistant"]
    assert text_of(snapshot["messages"][1]) == "Slowly, and then all at once. "
    assert snapshot["messages"][1]["parts"][1]["output"] == "They flow downhill."


def test_person_runs_the_proxied_backend_and_the_session_has_its_answer(
    served: str, tmp_path: Path
) -> None:
    """It prints the answer that the session keeps."""
    done = subprocess.run(  # noqa: S603
        [sys.executable, write_recipes(tmp_path / "recipes") / "proxied.py"],
        env={**os.environ, "GATEWAY": served, "no_proxy": "*"},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    with urllib.request.urlopen(f"{served}/api/chat/trip", timeout=5) as answer:  # noqa: S310
        user, assistant = json.load(answer)["messages"]
    assert user["parts"][0]["text"] == "How do rivers move?"
    assert "".join(part.get("text", "") for part in assistant["parts"]) == done.stdout != ""
