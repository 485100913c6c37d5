/** The ways to break the session, each with the effect to expect and the condition of its end. */
import { GatewayRefusal, killWorker } from '../network/api';
import { network, type NetworkState } from '../network/network';
import type { DemoSession } from '../session/useDemoSession';
import type { IconName } from '../ui/Icon';

/** A text about an incident. */
export interface Note {
  text: string;
  /** Replaces `text` once the incident is over; then the note disappears. */
  after: string;
  /** Returns whether the incident is over. */
  isOver: (now: Circumstances) => boolean;
}

export interface Circumstances {
  session: DemoSession['session'];
  net: NetworkState;
  split: boolean;
  /** How long the note has been there. */
  ageMs: number;
}

export interface Incident {
  icon: IconName;
  label: string;
  expect: string;
  /** Causes the incident and reports it. The report may change on the way. */
  cause: (means: Means) => Promise<void> | void;
}

/** What an incident needs. */
export interface Means {
  /** Of the session. */
  id: string;
  session: DemoSession['session'];
  say: (note: Note) => void;
  /** Reports the death of a worker, and who resumes its run. */
  report: (runId: string, pid: number) => void;
}

const OFFLINE_MS = 10_000;
const SHORTEST_MS = 2500;
const CUT_EXPECT =
  'The connections of this tab are cut. It reconnects by itself and continues with the next word: none is missing, none comes twice.';
const OFFLINE_EXPECT =
  'The text stops for ten seconds while the model continues. Then everything that you missed arrives at once.';
const KILL_EXPECT =
  'Kills the process that writes this answer (kill -9). Another one resumes the answer within 12 s.';
export const SLOW_EXPECT =
  'Everything takes almost a second longer. The words arrive in bursts, all of them and in order.';
export const SPLIT_EXPECT =
  'The other half is a second tab with its own connections. It shows the same answer; send or stop in either.';

const isLive = ({ session, ageMs }: Circumstances) => session.connection === 'live' && ageMs > SHORTEST_MS;

export const SLOW: Note = {
  text: SLOW_EXPECT,
  after: 'The network is fast again.',
  isOver: ({ net }) => !net.slow,
};

export const SPLIT: Note = {
  text: SPLIT_EXPECT,
  after: '',
  isOver: ({ split, session, ageMs }) => !split || (ageMs > 15_000 && session.phase === 'idle'),
};

export const INCIDENTS: readonly Incident[] = [
  {
    icon: 'scissors',
    label: 'Cut the connection',
    expect: CUT_EXPECT,
    cause: ({ say }) => {
      network.cut();
      say({ text: CUT_EXPECT, after: 'Connected again, and nothing is missing.', isOver: isLive });
    },
  },
  {
    icon: 'offline',
    label: 'Offline for 10 s',
    expect: OFFLINE_EXPECT,
    cause: ({ say }) => {
      network.goOffline(OFFLINE_MS);
      say({
        text: OFFLINE_EXPECT,
        after: 'Online again, with everything that you missed.',
        isOver: (now) => now.net.offlineUntil === 0 && isLive(now),
      });
    },
  },
  {
    icon: 'refresh',
    label: 'Reload',
    expect: 'The page starts empty and shows the answer so far at once. Then the answer continues live.',
    cause: () => location.reload(),
  },
  { icon: 'skull', label: 'Kill the worker', expect: KILL_EXPECT, cause: kill },
];

async function kill({ id, session, say, report }: Means): Promise<void> {
  if (session.run === undefined || session.run.state === 'ended') {
    say(notKilled('nothing is being written here. Start an answer first.'));
    return;
  }
  try {
    const { runId, pid } = await killWorker(id);
    if (runId !== null && pid !== null) report(runId, pid);
  } catch (error) {
    say(notKilled(error instanceof GatewayRefusal ? `${error.message}.` : 'the gateway did not answer.'));
  }
}

function notKilled(reason: string): Note {
  return {
    text: `No worker was killed: ${reason}`,
    after: '',
    isOver: ({ session, ageMs }) => ageMs > 8000 || session.phase !== 'idle',
  };
}
