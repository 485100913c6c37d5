/** Server-sent events as they arrive: events, and comments (heartbeats). */

export interface SseEvent {
  kind: 'event';
  id: string | null;
  name: string;
  data: string;
}

export interface SseComment {
  kind: 'comment';
}

export type SseItem = SseEvent | SseComment;

/** Reads text in pieces of any length; returns the items that each piece completes. */
export class SseReader {
  #rest = '';

  push(text: string): SseItem[] {
    const blocks = (this.#rest + text).split('\n\n');
    this.#rest = blocks.pop() ?? '';
    return blocks.flatMap(readBlock);
  }
}

function readBlock(block: string): SseItem[] {
  let id: string | null = null;
  let name = 'message';
  const data: string[] = [];
  let comment = false;
  for (const line of block.split('\n')) {
    if (line.startsWith(':')) comment = true;
    else if (line.startsWith('id: ')) id = line.slice(4);
    else if (line.startsWith('event: ')) name = line.slice(7);
    else if (line.startsWith('data: ')) data.push(line.slice(6));
  }
  if (data.length > 0) return [{ kind: 'event', id, name, data: data.join('\n') }];
  return comment ? [{ kind: 'comment' }] : [];
}
