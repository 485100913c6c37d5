"""Knowledge of the simulated models: durable sessions. Sections of Markdown, in no special order.

A line between two blank ones is one block; paragraphs are written over several lines.
"""

from __future__ import annotations

from typing import Final

SECTIONS: Final = """
## Where an answer lives

In most chat applications an answer lives in a connection. The server writes into it, the page
reads from it, and when it breaks, the rest of the answer has no address any more. The model may
go on for another minute and be paid for it, but nobody is listening.

A durable session turns this round. The answer is written into a log first, and the page is only
somebody who reads that log. A reader may come late, leave early or come twice; the text does not
depend on any of them.

## The order of two writes

Everything rests on one rule: a word is shown only after it has been stored. The other way round,
a crash between the two leaves people with a sentence on the screen that no server remembers, and
the next reload takes it away from them.

The price is small. Chunks that arrive within a few milliseconds are stored together, in one
round trip, so that a fast model costs hardly more writes than a slow one. What people notice is
not the half millisecond; it is that nothing they have read ever disappears.

## A reload in the middle

Press reload while an answer is being written. The page starts from nothing: no memory, no
position, no idea what was said. It asks for the session, and gets the text so far in one piece,
then everything that follows as it comes.

- **Late readers get the state,** not the history: one delta for each part, however long it is.
- **Returning readers get the rest:** they say the number of the last chunk that they have seen.
- **Nobody gets a word twice,** because both kinds of reading end at the same number.

The person sees a pause about as long as the page takes to load.

## Tunnels, lifts and cafés

Phones lose their connection many times a day, mostly for a few seconds: a lift, a tunnel, the
step from the café's wireless network to the mobile one. None of these is a wish to stop. That is
why a lost connection must never end an answer, and why a server that cancels the model as soon as
the socket closes does the wrong thing nine times out of ten.

A client that comes back says where it was. If that was ten seconds ago, ten seconds of text
arrive at once; after that the words come at the pace of the model again.

## Stop is a message

If a closed connection does not mean *stop*, then something else has to. Stop is a request of its
own, and it names the session. It may come from the tab that asked, from another one, or from a
phone; the process that talks to the model hears of it, cancels the call, and writes the end of
the answer into the log.

| what happens | what it means | what the model does |
|---|---|---|
| the tab is closed | somebody left | goes on |
| the network is gone | nothing yet | goes on |
| Stop is pressed | a person has decided | ends at once |
| the provider fails | the call is over | is asked again, or reported |

Three words help to keep these apart: *disconnect*, *stop* and *abort*. Most bugs in streaming
software come from using one of them for another.

## When the process dies

A process can end without a last word: the machine restarts, the memory runs out, somebody types
`kill -9`. Nothing in the process can repair that, so the repair has to live elsewhere.

1. **A lease.** Whoever writes an answer holds a lease on it, and renews it every few seconds.
2. **A deadline.** When the lease runs out, the answer has no writer, and every process sees it.
3. **A fence.** Another takes over and raises a number; what the old writer still sends is refused.
4. **An end.** The new writer goes on where it can, and closes the answer in words where it cannot.

The number matters more than it seems. A process that was only slow, not dead, may wake up and
write on; the fence is what keeps two writers from telling two stories.

## Responses that wait for nobody

Some providers can make a response in the background: they keep its events, numbered, whether or
not anybody is connected. Then a crash costs nothing at all. The next process asks for the events
after the last one that was stored, compares the first of them with the log, and goes on with the
following word.

With any other provider the cut step is asked again. The words may differ the second time, so the
first attempt is taken back before the second one is shown: two half answers are worse than
one whole.

## Positions

A position says where a reader stands. It has two parts, an *epoch* and an *offset*, and the first
one is easy to forget.

Imagine a log with the entries 1, 2 and 3. A reader has seen all of them. Then the disk fails, the
log begins again, and soon has four new entries. The reader asks for what comes after 3, gets the
fourth, and never learns that the first three were replaced. With an epoch the question has an
honest answer: that log is gone, here is the new one from its beginning.

```json
{"epoch": "b7f2", "offset": "1764493210250-3"}
```

Clients need not read positions. They keep the newest one, and give it back.

## One order for everybody

Two people look at the same session, on two machines, through two servers. They must see the same
messages in the same order, also when both of them press Send in the same second. Clocks cannot
decide that, because no two of them agree.

The log can. Each write is one atomic step that gets the next number, and a reader who finds 41
after 39 knows that it has to fetch 40 before it shows anything. Order is then a property of the
data, and no longer of luck.

## Several tabs, one connection

A browser allows six connections to a server over HTTP/1.1, for all of its tabs together. With one
stream a tab, the seventh tab hangs, and so does every click in the other six.

So the tabs of a browser elect one of them. It holds the connection, and passes on what it hears
to the others; when it is closed, another one takes its place and says how far they had come. Open
this session in a second tab and look: the words arrive in both, at the same moment.

## What the log holds

- **Messages:** what people said, and each finished answer as a whole.
- **Runs:** when an answer began, who asked for it, how it ended, and by whom it was stopped.
- **Chunks:** the deltas of a run, in batches, until the finished message replaces them.
- **Nothing else.** Who is looking right now is not part of it, and neither are connections.

Each record names the one before it. A reader can therefore tell a hole from an end, which sounds
like a detail until a network delivers the twelfth record before the eleventh.

## Following a log

The reader's side fits on a postcard. It starts with what is there, waits for more, and remembers
the number of the last record that it has passed on:

```python
async def follow(log, position):
    while True:
        async for record in log.after(position):
            position = record.position
            yield record
        await log.grown()
```

The difficult part is hidden in the last line. Between the moment when the reader has seen the end
and the moment when it begins to wait, another record may arrive. Whoever subscribes only after
reading will miss it; whoever subscribes first, and drops what comes twice, will not.

## Slow readers

One of the readers is on a train and takes three words a second. The model writes sixty. If the
server waits for the slowest, everybody waits; if it keeps everything in memory for them, one
sleeping laptop can bring it down.

A reader is therefore nothing but a number: the place in the log where it stands. When the newest
records are no longer in memory, it reads them from storage. The server keeps no list of what it
still owes to whom.

## Sending twice

A click on Send, and the network goes away before anything comes back. Did the message arrive? The
client cannot know, and the person will press the button again.

The message carries an id that the client has made up before the first attempt. The server opens
at most one answer for it: the second request finds the first, and reads along. *At least once* on
the wire becomes *exactly once* in the session, and the person never sees the question twice.

## Tools that act

Text may be written again; a payment may not be made again. A call of a tool is therefore stored
before it is executed, and so is the fact that its execution has begun. After a crash the log
answers the only question that counts:

| the log says | after a crash |
|---|---|
| asked for, not begun | it is executed now |
| begun, no result | it is reported as interrupted, and never repeated |
| result stored | the answer goes on with it |

If a person has to allow the call, the question waits in the session. It can be answered tomorrow,
on another device, and after the server has been replaced twice.

## Silence

Nothing looks more like a fault than silence. The model thinks, a search takes its time, or the
provider is overloaded, and the page shows three dots for all of them.

It helps to say which one it is: *waiting for the model, 8 s*; *refused by the provider, asking
again in 3 s*; *offline, the answer goes on without you*. Below the words, a heartbeat crosses the
connection every few seconds, so that a dead line is noticed within moments and not after a
minute's timeout.

## Providers that are busy

A refusal with the status 429 is no failure. It says: not now, and often how long to wait. Asking
again at once makes matters worse, for everybody; asking again after the time that was named, with
a little randomness so that a thousand clients do not return in the same instant, usually works.

All of this happens before the first word. Once an answer has begun, a refusal is an event in its
middle, and what was written so far stays.

## What it costs

Durability sounds expensive. Measured, it is one write to memory and an append to a file, both
next door, for each batch of chunks: well under a millisecond. A model takes ten to twenty between
two words.

Space is bounded, too. A session has a lifetime, the chunks of finished answers are dropped in
favour of the message, and an idle session costs a few kilobytes until it expires.

## Testing the promise

A promise like *no word is lost* is worth what its tests are worth. The useful ones are rude:

- **Cut the connection after every single byte,** and compare what arrives with what was sent.
- **Kill the writer between any two steps,** and look for the answer that never ends.
- **Stop the database for four seconds,** then for forty, in the middle of two hundred answers.
- **Open two tabs,** send from both, and stop from a third.

Whatever survives a few thousand rounds of that will also survive a Monday morning. The buttons
above this conversation do the same by hand.

## Deploys

New versions are the most frequent crash of all, only politer. A server that is told to go takes
no new work, sends its readers to a neighbour, and lets its own answers finish. What does not
finish in time is handed over with its place in the log.

For readers this is one more reconnect. If they notice it at all, it is because the dot beside
their session was amber for half a second.

## Moving to another device

Nothing has to be moved. The session has an address, and whoever may open it sees the same
conversation: the question that was asked at the desk, the answer that is being written now, the
Stop button that works from either place.

The interesting case is two devices at once. Both may send; one of them is told that an answer is
already under way, keeps the words that it could not send, and offers to send them next.

## What others do

| approach | survives a reload | survives a crash | a second tab |
|---|---|---|---|
| the stream is the answer | no | no | sees nothing |
| save when finished | no | no | sees it afterwards |
| replay buffer in memory | yes | no | sometimes |
| a log, written first | yes | yes | sees it live |

The middle two are often enough. They stop being so on the day when answers take minutes, when
they cost money, or when they do things.

## Adding it to an application

On the side of the page it is one line: the chat keeps its hooks and components, and gets another
transport.

```tsx
const transport = new DefaultChatTransport({ api: 'https://chat.example/api/chat' });
const { messages, sendMessage } = useChat({ id, transport, resume: true });
```

On the other side stands a gateway between the page and the model. It speaks the protocol that the
page already understands, and calls the provider with the provider's own library, so neither end
has to know that there is a log in the middle.

## Watching it from a terminal

The session is plain HTTP. Start an answer in the browser, copy the session's id from the address,
and read along without any page at all:

```sh
curl -N http://127.0.0.1:8000/api/chat/$SESSION/stream
```

End the command, start it again, and the first thing that comes is all that you have missed.

## Naming things

Good names prevent bugs here. A *run* is one answer being made; a *message* is what it leaves
behind. A *reader* may be anybody; a *producer* is the only one who writes. A *lease* can be lost
without noticing, a *lock* cannot, which is why there are no locks in this design.

And *done* is not the same as *disconnected*. The end of an answer is a record like any other: it
says how the answer ended, and until it is there, the answer has not.

## In short

Write first, then show. Number everything. Let readers come and go, and let only a person's Stop
stop. Give each answer exactly one writer, with a lease that runs out, and exactly one end. Then a
broken connection, a reload or a killed process is no longer an event in the conversation; it is a
pause, and the next word follows.
"""
