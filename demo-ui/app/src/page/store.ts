/** The page's values in the browser's storage, which is not available where cookies are blocked. */

export function stored(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

export function store(key: string, value: string): void {
  try {
    localStorage.setItem(key, value);
  } catch {
    // The value is lost when the page reloads.
  }
}
