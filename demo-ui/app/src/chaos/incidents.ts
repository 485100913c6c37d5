/** The ways to break the session, each with what one should see. */
import { killWorker } from '../lib/api';
import { network } from '../network/network';
import type { IconName } from '../ui/Icon';

export interface Incident {
  icon: IconName;
  label: string;
  expect: string;
  /** Does it; returns what to say instead of `expect`, if anything. */
  cause: (sessionId: string) => Promise<string | void> | string | void;
}

const OFFLINE_MS = 10_000;

export const INCIDENTS: readonly Incident[] = [
  {
    icon: 'scissors',
    label: 'Cut the connection',
    expect: 'The connections of this tab are gone. It connects again by itself and goes on with the next word: none is missing, none comes twice.',
    cause: () => void network.cut(),
  },
  {
    icon: 'offline',
    label: 'Offline for 10 s',
    expect: 'The text stands still for ten seconds while the model goes on. Then all that you missed arrives at once.',
    cause: () => network.goOffline(OFFLINE_MS),
  },
  {
    icon: 'refresh',
    label: 'Reload',
    expect: 'The page starts from nothing, and shows the answer so far in one piece; then it goes on live.',
    cause: () => location.reload(),
  },
  {
    icon: 'skull',
    label: 'Kill the worker',
    expect: 'Ends the process that writes this answer, with kill -9. Within 15 s every tab says so, keeps the text and offers Retry.',
    cause: async (sessionId) => {
      try {
        const { pid } = await killWorker(sessionId);
        return `Worker ${pid} is dead (kill -9). Within 15 s every tab says so, keeps the text and offers Retry.`;
      } catch (error) {
        return `Nothing was killed: ${error instanceof Error ? error.message : 'unknown reason'}. Start an answer first.`;
      }
    },
  },
];

export const SLOW_EXPECT =
  'Everything takes most of a second longer. The words come in lumps, all of them and in order.';
export const SPLIT_EXPECT =
  'The other half is a second tab with connections of its own. It writes along; send or stop in either.';
