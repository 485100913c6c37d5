/** The theme: the system's, unless the person has chosen one. */
import { useState } from 'react';
import { store, stored } from './store';

export type Theme = 'light' | 'dark';

const KEY = 'midstream-theme';
const system = matchMedia('(prefers-color-scheme: dark)');

function chosen(): Theme | null {
  const theme = stored(KEY);
  return theme === 'light' || theme === 'dark' ? theme : null;
}

export function currentTheme(): Theme {
  return chosen() ?? (system.matches ? 'dark' : 'light');
}

/** Applies the theme to the page, now and whenever the system's changes. */
export function applyTheme(): void {
  document.documentElement.dataset.theme = currentTheme();
}

system.addEventListener('change', applyTheme);
addEventListener('storage', applyTheme);

export function useTheme(): [Theme, () => void] {
  const [theme, setTheme] = useState(currentTheme);
  const toggle = () => {
    const next = theme === 'dark' ? 'light' : 'dark';
    store(KEY, next);
    applyTheme();
    setTheme(next);
  };
  return [theme, toggle];
}
