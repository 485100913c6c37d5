"""A visitor clicks through the demo: every prompt, every incident, every pane."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from midstream.settings.source import load_settings
from tests.support.demo import ANSWER, SIMULATED, Demo, visit
from tests.support.fixtures import start_deployment
from tests.support.sessions import text_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.support.browser import Profile
    from tests.support.gateway import GatewayProcess
    from tests.support.simulator import Simulator

pytestmark = pytest.mark.anyio

PICTURES: Final = Path(__file__).with_name("screenshots")
GRANTED: Final = """() => { window.notified = [];
  window.Notification = class {
    static permission = 'granted';
    static requestPermission = async () => 'granted';
    constructor(title) { window.notified.push(title); }
  }; }"""
"""A browser in which the visitor allows notifications, and which counts them."""
LONG: Final = "Tell me how rivers shape the land, at length. [[tokens=3000 rate=50]]"


@pytest.fixture(scope="module")
def gateway(
    simulator: Simulator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    """A gateway of two workers that serves the demo; workers may die, sessions are many."""
    PICTURES.mkdir(exist_ok=True)
    with ExitStack() as stack:
        made = start_deployment(simulator, tmp_path_factory.mktemp("demo"), stack)
        yield made.add_gateway(SIMULATED, arguments=["--demo", "--workers", "2"])


@pytest.fixture
async def demo(gateway: GatewayProcess, laptop: Profile) -> AsyncIterator[Demo]:
    """A visitor's tab, which must have thrown nothing by the end."""
    opened = await visit(laptop, gateway)
    yield opened
    assert await opened.tab.complaints() == []


async def test_search_shows_its_sources(demo: Demo) -> None:
    """Each once, with its name, below the text that cites them."""
    await demo.pick("Search, and cite sources")
    await demo.finishes()
    await demo.photograph(PICTURES / "sources.png")

    assert await demo.count("[aria-label=Sources] a[href]") == 3
    named = await demo.tab.run("() => document.querySelector('[aria-label=Sources]').innerText")
    assert "HTML Standard" in named
    assert "https://" not in named


async def test_visitor_is_the_tool(demo: Demo) -> None:
    """The status names the person that it waits for, and the answer continues with their input."""
    await demo.pick("Call a tool")
    await demo.shows("Waiting for you: give the result of get_weather")
    await demo.photograph(PICTURES / "tool.png")
    assert await demo.tab.violations() == []
    asked = await demo.session()

    await demo.press("Give it")
    answered = (await demo.session_after(asked))["messages"][-1]
    await demo.shows("Finished in")
    await demo.shows(text_of(answered).split()[-1])

    assert "clear" in await demo.answer()


@pytest.mark.parametrize(("button", "state"), [("Allow", "done"), ("Refuse", "refused by you")])
async def test_visitor_is_asked_before_a_tool_acts(demo: Demo, button: str, state: str) -> None:
    """No tool runs until they allow it; the model gets a refusal, and continues."""
    await demo.pick("Ask before it acts")
    await demo.shows("Waiting for you: allow or refuse send_postcard")
    await demo.photograph(PICTURES / "approval.png")
    assert await demo.answer() == ""
    assert await demo.tab.violations() == []
    asked = await demo.session()

    await demo.press(button)
    answered = (await demo.session_after(asked))["messages"][-1]
    await demo.shows("Finished in")
    await demo.shows(text_of(answered).split()[-1])

    assert state in await demo.tab.run("() => document.querySelector('details').innerText")
    assert await demo.answer() != ""


async def test_failure_keeps_the_text_and_offers_retry(demo: Demo) -> None:
    """In words, with a way on: another run of the same question."""
    await demo.pick("A failure, half-way")
    await demo.shows("The answer failed")
    written = await demo.answer()
    await demo.photograph(PICTURES / "failure.png")
    assert await demo.tab.violations() == []
    before = await demo.session()
    (first,) = before["runs"]

    await demo.press("Retry")
    again = (await demo.session_after(before))["runs"][-1]
    await demo.shows("The answer failed")

    assert written != ""
    assert (again["trigger"], again["id"] != first["id"]) == ("regenerate-message", True)


async def test_silent_model_is_waited_for_in_words(demo: Demo) -> None:
    """The status has the reason and the time of the wait; never writing before there is a word."""
    await demo.ask("Take your time. [[first=4s]]")
    await demo.shows("Waiting for the model")
    await demo.photograph(PICTURES / "waiting.png")
    shown = await demo.tab.run(
        "() => new Promise(done => { const seen = new Set(); const look = () => {"
        f" if (({ANSWER})())"
        " done([...seen]); else { seen.add(document.querySelector('[aria-live=polite]').innerText);"
        " requestAnimationFrame(look); } }; look(); })"
    )
    await demo.finishes()

    assert "Writing" not in shown


async def test_attachments_travel_with_the_message(demo: Demo) -> None:
    """An image and a PDF, dropped; shown after a reload too. Other files are refused."""
    await demo.tab.run(
        """async () => {
          const canvas = new OffscreenCanvas(8, 8);
          canvas.getContext('2d').fillRect(0, 0, 8, 8);
          const image = await canvas.convertToBlob({ type: 'image/png' });
          const dataTransfer = new DataTransfer();
          const add = (content, name, type) =>
            dataTransfer.items.add(new File([content], name, { type }));
          add(image, 'square.png', 'image/png');
          add('%PDF-1.4', 'report-of-the-quarter.pdf', 'application/pdf');
          add('MZ', 'setup.exe', 'application/x-msdownload');
          const form = document.querySelector('#message').form;
          const how = { dataTransfer, bubbles: true, cancelable: true };
          form.dispatchEvent(new DragEvent('drop', how));
        }"""
    )
    await demo.shows("setup.exe is neither an image nor a PDF")
    await demo.photograph(PICTURES / "attachments.png")
    await demo.ask("What is in these? [[tokens=20]]")
    await demo.finishes()
    await demo.tab.reload()
    await demo.shows("report-of-the-quarter.pdf")
    await demo.tab.finds(
        "() => document.querySelector('img[alt=\"square.png\"]')?.naturalWidth === 8"
    )

    question = (await demo.session())["messages"][0]
    assert [part["type"] for part in question["parts"]].count("file") == 2


async def test_question_is_edited_and_its_answer_written_again(demo: Demo) -> None:
    """An edit replaces the question and its answer; writing again replaces the answer."""
    await demo.ask("One? [[tokens=20]]")
    await demo.shows("Finished in")
    asked = await demo.session()
    await demo.press("Edit the message")
    await demo.tab.run("() => document.querySelector('textarea[rows=\"3\"]').select()")
    await demo.tab.command("type", text="Two? [[tokens=20]]")
    await demo.press("Send again")
    await demo.shows("You asked: Two?")
    edited = await demo.session_after(asked)
    await demo.shows("Finished in")
    await demo.press("Write it again")
    regenerated = await demo.session_after(edited)
    await demo.shows("Finished in")

    assert [message["role"] for message in edited["messages"]] == ["user", "assistant"]
    assert "Two?" in text_of(edited["messages"][0])
    assert regenerated["messages"][0] == edited["messages"][0]
    assert regenerated["messages"][1]["id"] != edited["messages"][1]["id"]


async def test_sidebar_opens_and_deletes_sessions(demo: Demo) -> None:
    """Each at its own address; a deleted one is gone, from the gateway too."""
    await demo.ask("The first one. [[tokens=30]]")
    await demo.shows("Finished in")
    first = await demo.tab.run("() => location.pathname")
    chat = first.rpartition("/")[2]
    await demo.press("New session")
    await demo.ask("The second one. [[tokens=5]]")
    await demo.shows("Finished in")

    await demo.tab.run("path => document.querySelector(`nav a[href='${path}']`).click()", first)
    await demo.shows("You asked: The first one.")
    await demo.press("Delete “The first one.”")
    await demo.shows("Delete this session?")
    await demo.press("Keep it")
    await demo.tab.finds(f"async () => (await fetch('/api/chat/{chat}')).status === 200")
    await demo.press("Delete “The first one.”")
    await demo.shows("Delete this session?")
    await demo.photograph(PICTURES / "delete.png")
    assert await demo.tab.violations() == []
    await demo.press("Delete")
    await demo.shows("Break this chat.")

    await demo.tab.finds(f"async () => (await fetch('/api/chat/{chat}')).status === 404")
    await demo.tab.finds("() => !document.querySelector('nav').innerText.includes('The first one')")


async def test_chosen_model_answers(demo: Demo) -> None:
    """The one that is picked, also after a reload of the page."""
    await demo.choose("assistant/sim-instant")
    await demo.tab.reload()
    await demo.ask("Which are you? [[tokens=5]]")
    await demo.shows("Finished in")

    assert (await demo.session())["messages"][1]["metadata"]["model"] == "sim-instant"


async def test_address_goes_to_another_device(demo: Demo) -> None:
    """As a QR code, and as text; with what serves it beyond this machine, however it was started.
    Escape brings back where one was."""
    await demo.press("Open on another device")
    await demo.tab.finds("() => document.querySelector('dialog[open] svg[role=img] path')")
    address = await demo.tab.run("() => document.querySelector('dialog input').value")
    named = await demo.tab.run(
        "() => [...document.querySelectorAll('dialog code')].map(each => each.innerText)"
    )
    await demo.photograph(PICTURES / "share.png")
    assert await demo.tab.violations() == []
    await demo.tab.command("press", key="Escape")
    await demo.tab.finds("() => document.querySelector('dialog') === null")

    assert address == await demo.tab.run("() => location.href")
    environment = dict(each.split("=") for each in named)
    served = (await asyncio.to_thread(load_settings, environment=environment)).server
    assert (served.host, served.insecure) == ("0.0.0.0", True)  # noqa: S104
    focused = await demo.tab.run("() => document.activeElement.getAttribute('aria-label')")
    assert focused == "Open on another device"


async def test_keyboard_reaches_the_message_first(demo: Demo) -> None:
    """The first stop of the Tab key skips the sidebar and the bar."""
    await demo.tab.command("press", key="Tab")
    await demo.shows("To the message")
    await demo.tab.command("press", key="Enter")

    await demo.tab.finds("() => document.activeElement.id === 'message'")


async def test_wire_shows_the_log_and_replays_it(demo: Demo) -> None:
    """Every record; the scrubber goes back to any, and the answer as it stood there; then live."""
    await demo.ask("How do rivers move? [[tokens=60]]")
    await demo.shows("Finished in")
    await demo.press("The wire")
    await demo.shows("ended: finished")
    await demo.tab.run(
        "() => { const range = document.querySelector('[aria-label=\"Place in the log\"]');"
        " Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(range, 8);"
        " range.dispatchEvent(new Event('input', { bubbles: true })); }"
    )
    await demo.shows("The answer at this place")
    await demo.photograph(PICTURES / "wire-replay.png")
    assert await demo.tab.violations() == []
    early = await demo.tab.run("() => document.querySelector('p[aria-label=Answer]').innerText")
    await demo.press("Replay the log from here")
    await demo.shows("The answer now")
    whole = await demo.tab.run("() => document.querySelector('p[aria-label=Answer]').innerText")
    await demo.press("This tab")
    await demo.tab.finds(
        "() => document.querySelectorAll('[aria-label$=connections] button.font-mono').length > 5"
    )

    assert len(early) < len(whole)
    assert whole.startswith(early)


async def test_wire_is_not_one_more_tab(demo: Demo) -> None:
    """A reader of the log does not count as one more tab of the session."""
    await demo.ask(LONG)
    await demo.reads()
    await demo.press("The wire")
    await demo.tab.finds(
        "() => document.querySelectorAll('[aria-label=\"The wire\"] button.font-mono').length > 5"
    )
    here = (await demo.session())["presence"]
    await demo.press("Stop the answer, in every tab")
    await demo.shows("Stopped by you, here")

    assert [user["tabs"] for user in here] == [1]


async def test_second_tab_writes_along_and_says_who_stopped(demo: Demo) -> None:
    """Side by side, with connections of their own; Stop in one is shown in the other."""
    await demo.ask(LONG)
    await demo.reads()
    await demo.press("Second tab")
    await demo.shows("live, 2 tabs")
    other = "document.querySelector('iframe').contentDocument"
    await demo.tab.finds(f"() => {other}?.querySelector('.prose-answer')?.innerText.length > 50")
    await demo.photograph(PICTURES / "second-tab.png")
    await demo.press("Stop the answer, in every tab")
    await demo.shows("Stopped by you, here")
    await demo.tab.finds(f"() => /Stopped (by|in)/.test({other}.body.innerText)")

    assert await demo.tab.run(f"() => {other}.querySelector('[aria-label=\"Break it\"]') === null")
    assert "by you" not in await demo.tab.run(f"() => {other}.body.innerText")


async def test_cut_connection_and_a_reload_cost_no_word(demo: Demo, simulator: Simulator) -> None:
    """With a slow network besides: in the end the page shows the gateway's history."""
    # The default agent's simulator is the gateway's own: the test cannot release its hold.
    await demo.choose("responses/sim-instant")
    # Held after about 600, 1200 and 1800 characters: what is waited for has come since.
    first, second, third = (
        simulator.held(tokens=120, after=tokens, size=20) for tokens in (30, 60, 90)
    )
    await demo.ask(f"{first.question} {second.directive} {third.directive}")
    await demo.reads(300)
    await demo.press("Cut the connection")
    await first.release()
    await demo.reads(900)
    await demo.photograph(PICTURES / "cut.png")
    assert await demo.tab.violations() == []
    await demo.press("Slow network")
    await second.release()
    await demo.reads(1500)
    await demo.press("Reload")
    await demo.tab.finds("() => document.querySelector('button[aria-pressed=true]') === null")
    await demo.reads(1500)
    await third.release()
    await demo.shows("Finished in")
    shown = await demo.answer()
    await demo.tab.reload()
    await demo.shows("Finished in")

    assert shown == await demo.answer()
    assert (await demo.session())["runs"][-1]["outcome"] == "finished"


async def test_ten_seconds_offline_are_made_up_for(demo: Demo) -> None:
    """The page reports the time offline, and then shows the missed part."""
    await demo.ask("How do rivers move? [[tokens=500 rate=60]]")
    await demo.reads(50)
    await demo.press("Offline for 10 s")
    await demo.shows("The answer continues without you")
    await demo.tab.finds("() => /^Offline \\d+ s/m.test(document.body.innerText)")
    before = await demo.answer()
    await demo.photograph(PICTURES / "offline.png")
    await demo.shows("Finished in")

    shown = await demo.answer()
    assert shown.startswith(before[:-20])
    assert len(shown) > len(before)


async def test_another_worker_goes_on_after_one_is_killed(demo: Demo, phone: Profile) -> None:
    """Every tab of the session names the dead one and its successor.

    Neither is counted twice, the note leaves when it is over, and the answer is whole.
    """
    await demo.ask("How do rivers move? [[tokens=1000 rate=50]]")
    await demo.reads(50)
    tabs = [demo, await demo.also_open_in(phone)]
    await tabs[1].reads(50)
    await demo.press("Kill the worker")
    for tab in tabs:
        await tab.shows("is dead (kill -9). What it wrote is kept")
    await demo.photograph(PICTURES / "killed.png")
    await tabs[1].photograph(PICTURES / "killed-phone.png")
    for tab in tabs:
        await tab.shows("has resumed the answer")
    assert await demo.tab.violations() == []
    for tab in tabs:
        await tab.shows("Finished in")
        await tab.tab.finds("() => !document.body.innerText.includes('is dead')")
    here = (await demo.session())["presence"]

    assert [user["tabs"] for user in here] == [2]
    assert [run["outcome"] for run in (await demo.session())["runs"]] == ["finished"]


async def test_nobody_is_killed_where_nothing_is_written(demo: Demo) -> None:
    """The page says so, with advice; the note leaves with the first answer."""
    await demo.press("Kill the worker")
    await demo.shows("No worker was killed: nothing is being written here. Start an answer first.")
    await demo.ask("Well? [[tokens=20]]")
    await demo.shows("Finished in")

    await demo.tab.finds("() => !document.body.innerText.includes('No worker was killed')")


async def test_busy_provider_is_told_before_it_is_asked_again(demo: Demo) -> None:
    """That it refused, and when the gateway asks again; then the answer comes."""
    await demo.pick("A busy provider")
    await demo.shows("The provider is busy (429); asking again in 5 s.")
    await demo.photograph(PICTURES / "busy.png")
    await demo.shows("Finished in")

    assert await demo.answer() != ""


async def test_escape_stops_the_answer(demo: Demo) -> None:
    """Wherever the focus is, but not while the key is a dialog's."""
    await demo.ask(LONG)
    await demo.reads()
    await demo.press("Open on another device")
    await demo.tab.finds("() => document.querySelector('dialog[open]')")
    await demo.tab.command("press", key="Escape")
    await demo.tab.finds("() => document.querySelector('dialog') === null")
    running = (await demo.session())["runs"][-1]["state"]
    await demo.tab.command("press", key="Escape")
    await demo.shows("Stopped by you, here")

    assert running == "open"


async def test_title_says_that_an_answer_came_while_nobody_looked(
    demo: Demo, simulator: Simulator
) -> None:
    """Until the tab is looked at again; and in a notification, once the visitor wants them."""
    await demo.tab.run(GRANTED)
    await demo.press("Notify me when an answer is done")
    await demo.tab.finds("() => document.querySelector('[aria-pressed=true][aria-label^=Notify]')")
    await demo.choose("responses/sim-instant")
    answer = simulator.held()
    await demo.ask(answer.question)
    await demo.reads()
    await demo.tab.run(
        "() => { Object.defineProperty(document, 'hidden', { get: () => window.away !== false,"
        " configurable: true }); }"
    )
    await answer.release()
    await demo.tab.finds("() => document.title.startsWith('✓ How do rivers move?')")
    assert await demo.tab.run("() => window.notified") == ["How do rivers move?"]
    await demo.tab.run(
        "() => { window.away = false; document.dispatchEvent(new Event('visibilitychange')); }"
    )

    await demo.tab.finds("() => document.title === 'How do rivers move? · Midstream'")
