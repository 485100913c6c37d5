/** A session's address is `/s/{id}`; `?pane=second` is the other half of a split view. */
import { useEffect, useState } from 'react';

export const isSecondPane = new URLSearchParams(location.search).get('pane') === 'second';

export function addressOf(sessionId: string): string {
  return `/s/${encodeURIComponent(sessionId)}`;
}

/** Return an id for a new session. The session begins with its first message. */
export function newSessionId(): string {
  const random = crypto.getRandomValues(new Uint8Array(12));
  return `chat_${Array.from(random, (byte) => (byte % 36).toString(36)).join('')}`;
}

function currentId(): string {
  const match = /^\/s\/([^/]+)$/.exec(location.pathname);
  if (match?.[1]) return decodeURIComponent(match[1]);
  const id = newSessionId();
  history.replaceState(null, '', addressOf(id) + location.search);
  return id;
}

/** Return the session of the page's address, and a function that opens another. */
export function useRoute(): [string, (sessionId: string) => void] {
  const [id, setId] = useState(currentId);
  useEffect(() => {
    const follow = () => setId(currentId());
    addEventListener('popstate', follow);
    return () => removeEventListener('popstate', follow);
  }, []);
  const open = (next: string) => {
    if (next !== id) history.pushState(null, '', addressOf(next));
    setId(next);
  };
  return [id, open];
}
