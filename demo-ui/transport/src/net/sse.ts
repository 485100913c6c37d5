/** One server-sent event. `id` is the event's own, not the last one seen. */
export interface SseEvent {
  event: string;
  id: string | undefined;
  data: string;
}

/**
 * Text in, events out; the text may be cut anywhere. An event that the end cuts off is never
 * returned, as the standard wants. Line ends may be LF, CRLF or CR.
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
    // Not at a CR that is the last: the LF of a CRLF may be still to come.
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
