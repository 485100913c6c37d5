/** Announces a finished answer in the title and, if the person wants it, by a notification. */
import { useEffect, useRef, useState } from 'react';
import { store, stored } from '../page/store';

const KEY = 'midstream-notify';

/** Sets the page's title. It is marked if an answer has ended while the page was hidden. */
export function useAnnouncement(title: string, busy: boolean, said: string): void {
  const [unseen, setUnseen] = useState(false);
  const wasBusy = useRef(busy);
  useEffect(() => {
    const ended = wasBusy.current && !busy;
    wasBusy.current = busy;
    if (!ended || !document.hidden) return;
    setUnseen(true);
    notify(title, said);
  }, [busy, title, said]);
  useEffect(() => {
    const look = () => !document.hidden && setUnseen(false);
    document.addEventListener('visibilitychange', look);
    return () => document.removeEventListener('visibilitychange', look);
  }, []);
  useEffect(() => {
    document.title = `${unseen ? '✓ ' : busy ? '… ' : ''}${title} · Midstream`;
  }, [title, unseen, busy]);
}

function notify(title: string, body: string): void {
  if (!wantsNotifications()) return;
  try {
    const shown = new Notification(title, { body, icon: '/favicon.svg', tag: location.pathname });
    shown.onclick = () => {
      focus();
      shown.close();
    };
  } catch {
    // Some phones allow none without a service worker. The title shows it anyway.
  }
}

export function wantsNotifications(): boolean {
  return canNotify && Notification.permission === 'granted' && stored(KEY) === 'on';
}

export const canNotify = 'Notification' in globalThis;

/** Returns whether notifications are on, and a function that toggles them, with permission. */
export function useNotifications(): [boolean, () => Promise<void>] {
  const [wanted, setWanted] = useState(wantsNotifications);
  const toggle = async () => {
    const next = !wanted && (await Notification.requestPermission()) === 'granted';
    store(KEY, next ? 'on' : 'off');
    setWanted(next && wantsNotifications());
  };
  return [wanted, toggle];
}
