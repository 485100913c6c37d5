/** The session's log as the wire pane shows it: one row for each record. */
import type { UIMessageChunk } from 'ai';
import type { SseEvent } from '../network/sse';
import type { RunInfo } from 'midstream-chat/react';

export type RecordKind = 'message' | 'run' | 'chunks' | 'snapshot' | 'presence' | 'link' | 'heartbeat';

export interface LogRecord {
  kind: RecordKind;
  /** The reader's position after it; empty if it is not in the log. */
  position: string;
  /** When it was committed, by Redis's clock; outside the log, when it arrived. */
  at: number;
  summary: string;
  data: string;
  /** For chunks: the run, and the text that they add to it. */
  runId?: string;
  text?: string;
}

export function recordOf(event: SseEvent): LogRecord {
  const offset = event.id?.split(':').at(-1);
  const base = {
    position: event.id ?? '',
    at: offset ? Number(offset.split('-')[0]) : Date.now(),
    data: event.data,
  };
  const data = JSON.parse(event.data) as unknown;
  switch (event.name) {
    case 'chunks': {
      const { runId, first, chunks } = data as { runId: string; first: number; chunks: UIMessageChunk[] };
      return { ...base, kind: 'chunks', summary: summaryOf(first, chunks), runId, text: textOf(chunks) };
    }
    case 'message': {
      const { message } = data as { message: { role: string; id: string } };
      return { ...base, kind: 'message', summary: `${message.role} ${message.id}` };
    }
    case 'run': {
      const run = data as RunInfo;
      const outcome = run.outcome ? `: ${run.outcome}` : '';
      return { ...base, kind: 'run', summary: `${run.state}${outcome}`, runId: run.id };
    }
    case 'presence': {
      const { here } = data as { here: { tabs: number }[] };
      const tabs = here.reduce((sum, each) => sum + each.tabs, 0);
      return { ...base, kind: 'presence', summary: `${tabs} ${tabs === 1 ? 'tab' : 'tabs'} here` };
    }
    default:
      return { ...base, kind: 'snapshot', summary: event.name };
  }
}

export function linkRecord(summary: string): LogRecord {
  return { kind: 'link', position: '', at: Date.now(), summary, data: '' };
}

export function heartbeatRecord(): LogRecord {
  return { kind: 'heartbeat', position: '', at: Date.now(), summary: 'heartbeat', data: '' };
}

/** Return the answer after the record at `index`: the text of its run so far. */
export function textAt(records: readonly LogRecord[], index: number): string {
  const runId = records.slice(0, index + 1).findLast((record) => record.runId)?.runId;
  if (!runId) return '';
  let text = '';
  for (let at = 0; at <= index; at++) {
    const record = records[at]!;
    if (record.runId === runId) text += record.text ?? '';
  }
  return text;
}

function summaryOf(first: number, chunks: UIMessageChunk[]): string {
  const last = first + chunks.length - 1;
  const range = last === first ? `${first}` : `${first}–${last}`;
  const text = textOf(chunks);
  const types = new Set(chunks.map((chunk) => chunk.type));
  const said = text === '' ? Array.from(types).join(', ') : JSON.stringify(text).slice(1, -1);
  return `${range}  ${said}`;
}

function textOf(chunks: UIMessageChunk[]): string {
  return chunks.map((chunk) => (chunk.type === 'text-delta' ? chunk.delta : '')).join('');
}
