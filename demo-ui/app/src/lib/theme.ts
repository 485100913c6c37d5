/** The theme: the system's, until the person chooses another. */
import { useState } from 'react';

export type Theme = 'light' | 'dark';

const KEY = 'midstream-theme';
const system = matchMedia('(prefers-color-scheme: dark)');

function chosen(): Theme | null {
  const stored = localStorage.getItem(KEY);
  return stored === 'light' || stored === 'dark' ? stored : null;
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
    localStorage.setItem(KEY, next);
    applyTheme();
    setTheme(next);
  };
  return [theme, toggle];
}
