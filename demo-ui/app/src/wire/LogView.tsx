import { useCallback } from 'react';
import { IconButton, Button } from '../ui/Button';
import { Inspector } from './Inspector';
import { textAt } from './records';
import { Row } from './Row';
import { useReplay, type Replay } from './useReplay';
import { useSessionLog } from './useSessionLog';
import { VirtualList } from './VirtualList';

/** The session's log, as Redis holds it, with a scrubber through its history. */
export function LogView({ sessionId }: { sessionId: string }) {
  const records = useSessionLog(sessionId);
  const replay = useReplay(records);
  const { index, seek } = replay;
  const row = useCallback(
    (at: number) => {
      const record = records[at];
      if (!record) return null;
      return (
        <Row
          key={at}
          at={record.at}
          kind={record.kind}
          summary={record.summary}
          selected={at === index}
          faded={at > index}
          onSelect={() => seek(at)}
        />
      );
    },
    [records, index, seek],
  );
  if (records.length === 0) {
    return (
      <p className="p-4 text-sm text-pretty text-muted-foreground">
        This session has no log yet. Send a message, and every record appears here as it is
        committed: the message, its run, each batch of chunks, and the end.
      </p>
    );
  }
  const record = records[index];
  return (
    <>
      <VirtualList label="Records of the log" count={records.length} focus={index} row={row} />
      <Inspector position={record?.position ?? ''} data={record?.data ?? ''} text={textAt(records, index)} live={replay.live} />
      <Scrubber replay={replay} count={records.length} />
    </>
  );
}

/** A place in the log to go to, and a replay from there. */
function Scrubber({ replay, count }: { replay: Replay; count: number }) {
  const { index, seek } = replay;
  return (
    <div className="flex items-center gap-2 border-t px-2 py-1.5">
      <IconButton
        icon={replay.playing ? 'pause' : 'play'}
        label={replay.playing ? 'Pause the replay' : 'Replay the log from here'}
        onClick={replay.toggle}
      />
      <input
        type="range"
        aria-label="Place in the log"
        aria-valuetext={`record ${index + 1} of ${count}`}
        min={0}
        max={count - 1}
        value={index}
        onChange={(event) => seek(Number(event.target.value))}
        className="h-11 min-w-0 flex-1 accent-primary"
      />
      <span className="w-22 text-right font-mono text-xs text-muted-foreground tabular-nums">
        {index + 1}/{count}
      </span>
      <Button aria-pressed={replay.live} onClick={() => seek(count)}>
        Live
      </Button>
    </div>
  );
}
