import type { UIMessage } from 'ai';

import type { SessionModel } from './feed/session-model.js';

/** The versions of a message: an edited question's, or an answer's that was written again. */
export interface Branches {
  count: number;
  /** Of the version that is shown, from 0. */
  index: number;
  /**
   * Show the version before, in every tab; resolves once the gateway has it.
   *
   * @throws MidstreamError `run_active` while an answer is being written, or messages are queued.
   */
  previous: () => Promise<void>;
  /** Show the version after. */
  next: () => Promise<void>;
}

export type Branching = (message: { id: string }) => Branches;

/**
 * Return what tells the versions of a message, and shows others. It is another function for another
 * state of the tree, so that no memo keeps what it returned before.
 */
export function branchingOf<MESSAGE extends UIMessage>(
  model: SessionModel<MESSAGE>,
  select: (id: string) => Promise<void>,
): () => Branching {
  let places: unknown;
  let branching: Branching;
  return () => {
    if (places === model.places) return branching;
    places = model.places;
    return (branching = ({ id }) => {
      const ids = model.places.find(place => place.includes(id)) ?? [id];
      const index = ids.indexOf(id);
      const show = (at: number) => select(ids[at] ?? id); // what is shown already changes nothing
      return { count: ids.length, index, previous: () => show(index - 1), next: () => show(index + 1) };
    });
  };
}
