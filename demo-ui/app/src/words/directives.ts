/** The simulator's directives, `[[long=2m]]`, told apart from what a person would read. */

const DIRECTIVE = /\s*\[\[([^\]]+)\]\]\s*/g;

export function splitDirectives(text: string): { words: string; directives: string[] } {
  const directives = Array.from(text.matchAll(DIRECTIVE), (match) => match[1]!);
  return { words: text.replace(DIRECTIVE, ' ').trim(), directives };
}
