/** Colours for code, by Shiki. It loads with the first block of code, each language when needed. */
import type { CodeHighlighterPlugin } from 'streamdown';
import type { HighlighterCore } from 'shiki/core';

const LANGUAGES = {
  bash: () => import('shiki/langs/bash.mjs'),
  css: () => import('shiki/langs/css.mjs'),
  diff: () => import('shiki/langs/diff.mjs'),
  go: () => import('shiki/langs/go.mjs'),
  html: () => import('shiki/langs/html.mjs'),
  javascript: () => import('shiki/langs/javascript.mjs'),
  json: () => import('shiki/langs/json.mjs'),
  python: () => import('shiki/langs/python.mjs'),
  rust: () => import('shiki/langs/rust.mjs'),
  sql: () => import('shiki/langs/sql.mjs'),
  tsx: () => import('shiki/langs/tsx.mjs'),
  typescript: () => import('shiki/langs/typescript.mjs'),
  yaml: () => import('shiki/langs/yaml.mjs'),
};

type Language = keyof typeof LANGUAGES;

const ALIASES: Record<string, Language> = {
  js: 'javascript', jsx: 'tsx', py: 'python', rs: 'rust', sh: 'bash', shell: 'bash', ts: 'typescript', yml: 'yaml',
};

const THEMES = ['github-light-high-contrast', 'github-dark'] as const;

let core: Promise<HighlighterCore> | null = null;
let ready: HighlighterCore | null = null;

async function load(language: Language): Promise<HighlighterCore> {
  core ??= (async () => {
    const [{ createHighlighterCore }, { createJavaScriptRegexEngine }] = await Promise.all([
      import('shiki/core'),
      import('shiki/engine/javascript'),
    ]);
    return createHighlighterCore({
      themes: [
        import('shiki/themes/github-light-high-contrast.mjs'),
        import('shiki/themes/github-dark.mjs'),
      ],
      langs: [],
      engine: createJavaScriptRegexEngine({ forgiving: true }),
    });
  })();
  const highlighter = await core;
  await highlighter.loadLanguage(LANGUAGES[language]);
  ready = highlighter;
  return highlighter;
}

function known(name: string): Language | null {
  const lower = name.trim().toLowerCase();
  if (lower in LANGUAGES) return lower as Language;
  return ALIASES[lower] ?? null;
}

function tokens(highlighter: HighlighterCore, code: string, lang: Language) {
  return highlighter.codeToTokens(code, {
    lang,
    themes: { light: THEMES[0], dark: THEMES[1] },
  });
}

export const highlighter: CodeHighlighterPlugin = {
  name: 'shiki',
  type: 'code-highlighter',
  supportsLanguage: (language) => known(language) !== null,
  getSupportedLanguages: () => Object.keys(LANGUAGES) as Language[],
  getThemes: () => [...THEMES],
  highlight({ code, language }, callback) {
    const lang = known(language);
    if (lang === null) return null;
    if (ready?.getLoadedLanguages().includes(lang)) return tokens(ready, code, lang);
    void load(lang).then((loaded) => callback?.(tokens(loaded, code, lang)));
    return null;
  },
};
