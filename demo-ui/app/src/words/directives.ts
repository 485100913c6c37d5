/** Separates the simulator's directives, such as `[[long=2m]]`, from the text for people. */

const DIRECTIVE = /\s*\[\[([^\]]+)\]\]\s*/g;

export function splitDirectives(text: string): { words: string; directives: string[] } {
  const directives = Array.from(text.matchAll(DIRECTIVE), (match) => match[1]!);
  return { words: text.replace(DIRECTIVE, ' ').trim(), directives };
}
