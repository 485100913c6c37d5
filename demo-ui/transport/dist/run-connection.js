import { checkEventStream, EventConnection, linked, request } from './connection.js';
import { failureOf, MidstreamError } from './errors.js';
const RUN_HEADER = 'x-midstream-run-id';
const DONE = '[DONE]';
/**
 * Ask for a response that streams a run. `null` if nothing runs (204).
 *
 * @throws ConnectionLost if asking again may help, else MidstreamError.
 */
export async function openRun(fetch, { url, init }, signal) {
    const abort = linked(signal);
    const response = await request(fetch, url, { ...init, signal: abort.signal });
    if (response.status === 204)
        return null;
    if (!response.ok)
        throw await failureOf(response);
    checkEventStream(response);
    const connection = new EventConnection(response, abort);
    return {
        runId: response.headers.get(RUN_HEADER) ?? undefined,
        events: runEvents(connection),
        close: () => connection.close(),
    };
}
async function* runEvents(connection) {
    for await (const { id, data } of connection) {
        if (data === DONE)
            continue; // `finish` is what ends a run
        yield { sequence: id === undefined ? undefined : Number(id), chunk: parseChunk(data) };
    }
}
function parseChunk(data) {
    try {
        return JSON.parse(data);
    }
    catch (error) {
        throw new MidstreamError('bad_response', 'unable to read the answer; a chunk is not JSON', {
            cause: error,
        });
    }
}
/** A run that is read from the feed alone. */
export function fromFeed(feed, runId, sequence) {
    return { runId, events: feed.tail(runId, sequence), close: () => { } };
}
/**
 * A response until the feed can go on with its run, and the feed from there: the connection is
 * free again after a moment, and other tabs can use it.
 *
 * @param next - the sequence that the response begins with, if that is known.
 */
export function handOver(response, feed, next) {
    const { runId } = response;
    if (runId === undefined)
        return response;
    return { runId, close: () => response.close(), events: events(runId) };
    async function* events(run) {
        let sequence = next;
        let leaving = false;
        const leave = () => {
            if (sequence === undefined || leaving || !feed.covers(run, sequence))
                return;
            leaving = true;
            response.close();
        };
        const forget = feed.onChange(leave);
        leave();
        try {
            for await (const event of response.events) {
                if (event.sequence !== undefined)
                    sequence = event.sequence + 1;
                yield event;
                leave();
                if (leaving)
                    break;
            }
        }
        catch (error) {
            if (!leaving)
                throw error;
        }
        finally {
            forget();
        }
        if (leaving && sequence !== undefined)
            yield* feed.tail(run, sequence);
    }
}
