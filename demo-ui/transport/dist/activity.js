/** What goes on in one chat of a transport; what binds the transport and the session sync. */
export class ChatActivity {
    responses = new Set();
    feed;
    /** A stop under way; a send waits for it. */
    stopping;
    listeners = new Set();
    get busy() {
        return this.responses.size > 0;
    }
    begin(messageId) {
        const { promise: ended, resolve: end } = resolvable();
        const response = {
            ended,
            end,
            runId: undefined,
            messageId,
            failures: 0,
            abort: new AbortController(),
        };
        this.responses.add(response);
        this.emit({ type: 'changed' });
        return response;
    }
    end(response, finished, error) {
        if (!this.responses.delete(response))
            return;
        response.end();
        this.emit({ type: 'ended', runId: response.runId, finished, error });
    }
    listen(listener) {
        this.listeners.add(listener);
        return () => this.listeners.delete(listener);
    }
    emit(event) {
        for (const listener of [...this.listeners])
            listener(event);
    }
}
function resolvable() {
    let resolve = () => { };
    const promise = new Promise(done => (resolve = done));
    return { promise, resolve };
}
