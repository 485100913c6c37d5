/** Reports every worker that dies while it writes this session's answer, in every tab of the session. */
import { useEffect, useRef } from 'react';
import { findWorker } from '../network/api';
import type { DemoSession } from '../session/useDemoSession';
import type { Circumstances, Note } from './incidents';

/** Time without a new word after which a tab asks whether the worker died. */
const STILL_MS = 1000;
const LOOK_EVERY_MS = 500;
const LOOK_LIMIT_MS = 60_000;

type Say = (note: Note) => void;

/** Returns what reports a death that this tab knows of: its own kill. */
export function useDeaths(id: string, { chat, session }: DemoSession, say: Say): (runId: string, pid: number) => void {
  const told = useRef(new Set<string>());
  const open = useRef(true);
  useEffect(() => {
    open.current = true;
    return () => void (open.current = false);
  }, []);

  const report = (runId: string, pid: number) => {
    if (told.current.has(`${runId} ${pid}`)) return;
    told.current.add(`${runId} ${pid}`);
    const dead = `Worker ${pid} is dead (kill -9).`;
    say({
      text: `${dead} What it wrote is kept. Another one takes over within 12 s, when the lease has expired.`,
      after: '',
      isOver: isIdle,
    });
    void successor(id, runId, pid, () => open.current).then((what) => say(over(`${dead} ${what}`)));
  };

  const busy = session.phase !== 'idle';
  const latest = useRef(report);
  latest.current = report;
  useEffect(() => {
    if (!busy) return;
    let left = false;
    const timer = setInterval(async () => {
      const now = await findWorker(id).catch(() => null);
      const dead = now?.dead.at(-1);
      if (!left && now?.runId && dead !== undefined) latest.current(now.runId, dead);
    }, STILL_MS);
    return () => {
      left = true;
      clearInterval(timer);
    };
    // A new word begins the wait again: while words come, nobody is asked.
  }, [id, busy, chat.messages]);
  return report;
}

const isIdle = ({ session }: Circumstances) => session.run?.state === 'ended' && session.phase === 'idle';

/** Waits until another worker has taken over the run, or the run has ended. */
async function successor(id: string, runId: string, deadPid: number, isOpen: () => boolean): Promise<string> {
  for (const end = Date.now() + LOOK_LIMIT_MS; isOpen() && Date.now() < end; ) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
    const now = await findWorker(id).catch(() => null);
    if (now === null) continue;
    if (now.runId !== runId) return 'The answer has ended; the status below says how.';
    if (now.pid !== null && now.pid !== deadPid) return `Worker ${now.pid} has resumed the answer.`;
  }
  return `No worker has resumed the answer in ${LOOK_LIMIT_MS / 1000} s.`;
}

function over(text: string): Note {
  return { text, after: text, isOver: () => true };
}
