/** One server-sent event. `id` is the event's own, not the last one seen. */
export interface SseEvent {
  event: string;
  id: string | undefined;
  data: string;
}

/**
 * Parses server-sent events from text that may be cut anywhere. An event that the end cuts off is
 * dropped, as the standard says. Lines may end with LF, CRLF or CR.
 *
 * Source: https://html.spec.whatwg.org/multipage/server-sent-events.html (parsing).
 */
export class SseParser {
  #rest = '';
  #event = '';
  #id: string | undefined;
  #data: string[] = [];

  /** Take the next piece and return the events that it completes, in order. */
  push(text: string): SseEvent[] {
    // Do not split at a final CR: the LF of a CRLF may follow.
    const lines = (this.#rest + text).split(/\n|\r\n|\r(?!$)/);
    this.#rest = lines.pop() as string;
    const events: SseEvent[] = [];
    for (const line of lines) {
      if (line !== '') this.#take(line);
      else this.#dispatch(events);
    }
    return events;
  }

  #take(line: string): void {
    // A comment is a field without a name.
    const [, field, value = ''] = /^([^:]*):? ?([^]*)/.exec(line) as RegExpExecArray;
    if (field === 'data') this.#data.push(value);
    else if (field === 'event') this.#event = value;
    else if (field === 'id') this.#id = value;
  }

  #dispatch(events: SseEvent[]): void {
    if (this.#data.length > 0) {
      events.push({ event: this.#event || 'message', id: this.#id, data: this.#data.join('\n') });
    }
    this.#event = '';
    this.#id = undefined;
    this.#data = [];
  }
}
