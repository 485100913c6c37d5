import { dirname, join } from 'node:path/posix';

import { parseSync, Visitor } from 'vite';

import type { Layers } from './rooms.ts';

const FILES_OF_A_FOLDER = 14;
const LINES_OF_A_FILE = 400;
const LINES_OF_A_FUNCTION = 50;

/** A source file; its path is relative to the folder of all of them, with slashes. */
export interface Source {
  path: string;
  text: string;
}

/** What one file holds. */
interface Contents {
  /** The relative modules that it imports: for values, for types, when needed. */
  imports: string[];
  functions: { line: number; lines: number }[];
  /** Lines of `as unknown as`: it silences the compiler about two types that do not fit. */
  casts: number[];
}

/** Return what is wrong with a package's sources, a sentence each; none if all is well. */
export function faultsOf(sources: readonly Source[], layers: Layers): string[] {
  const contents = new Map(sources.map(source => [source.path, read(source)]));
  const graph = new Map<string, string[]>();
  for (const [path, { imports }] of contents) {
    const targets = imports.map(name => resolve(path, name, contents));
    graph.set(path, targets.filter(target => target !== undefined));
  }
  return [
    ...homeless(sources, layers),
    ...arrows(graph, layers),
    ...circles(graph),
    ...crowds(sources),
    ...sources.flatMap(source => excess(source, contents.get(source.path) as Contents)),
  ];
}

function read({ path, text }: Source): Contents {
  const { program, errors } = parseSync(path, text);
  if (errors.length > 0) throw new Error(`unable to read ${path}; ${errors[0]?.message}`);
  const lineAt = (at: number) => text.slice(0, at).split('\n').length;
  const found: Contents = { imports: [], functions: [], casts: [] };
  const takeImport = ({ source }: { source?: unknown }) => {
    const { value } = (source ?? {}) as { value?: unknown };
    if (typeof value === 'string' && value.startsWith('.')) found.imports.push(value);
  };
  const takeFunction = ({ start, end }: { start: number; end: number }) => {
    const line = lineAt(start);
    found.functions.push({ line, lines: lineAt(end) - line + 1 });
  };
  new Visitor({
    ImportDeclaration: takeImport,
    ExportNamedDeclaration: takeImport,
    ExportAllDeclaration: takeImport,
    ImportExpression: takeImport,
    TSImportType: takeImport,
    FunctionDeclaration: takeFunction,
    FunctionExpression: takeFunction,
    ArrowFunctionExpression: takeFunction,
    TSAsExpression({ expression, start }) {
      const isCast = expression.type === 'TSAsExpression';
      if (isCast && expression.typeAnnotation.type === 'TSUnknownKeyword') {
        found.casts.push(lineAt(start));
      }
    },
  }).visit(program);
  return found;
}

/** Return the source that an import means; `undefined` for a style sheet. */
function resolve(path: string, name: string, known: ReadonlyMap<string, unknown>): string | undefined {
  const target = join(dirname(path), name);
  const stem = target.replace(/\.js$/, '');
  const found = [target, `${stem}.ts`, `${stem}.tsx`].find(candidate => known.has(candidate));
  if (found === undefined && !target.endsWith('.css')) {
    throw new Error(`unable to find ${name}; ${path} imports it`);
  }
  return found;
}

/** Return the room's name, and its layer: 0 is the highest, -1 is none. */
function placeOf(path: string, layers: Layers): { room: string; layer: number } {
  const room = path.split('/')[0] as string;
  return { room, layer: layers.findIndex(rooms => rooms.includes(room)) };
}

function homeless(sources: readonly Source[], layers: Layers): string[] {
  return sources
    .filter(({ path }) => placeOf(path, layers).layer < 0)
    .map(({ path }) => `${path} is in no room of structure/rooms.ts`);
}

function arrows(graph: ReadonlyMap<string, string[]>, layers: Layers): string[] {
  const found: string[] = [];
  for (const [path, targets] of graph) {
    const from = placeOf(path, layers);
    for (const target of targets) {
      const to = placeOf(target, layers);
      if (to.room === from.room || to.layer > from.layer) continue;
      found.push(`${path} imports ${target}, which is ${to.layer === from.layer ? 'beside' : 'above'} it`);
    }
  }
  return found;
}

/** Return each circle of imports once, from the file that was read first. */
function circles(graph: ReadonlyMap<string, string[]>): string[] {
  const found: string[] = [];
  const done = new Set<string>();
  const visit = (path: string, trail: readonly string[]) => {
    const at = trail.indexOf(path);
    if (at >= 0) found.push(`circle: ${[...trail.slice(at), path].join(' -> ')}`);
    if (at >= 0 || done.has(path)) return;
    for (const target of graph.get(path) ?? []) visit(target, [...trail, path]);
    done.add(path);
  };
  for (const path of graph.keys()) visit(path, []);
  return found;
}

function crowds(sources: readonly Source[]): string[] {
  const counts = new Map<string, number>();
  for (const { path } of sources) counts.set(dirname(path), (counts.get(dirname(path)) ?? 0) + 1);
  return [...counts]
    .filter(([, count]) => count > FILES_OF_A_FOLDER)
    .map(([folder, count]) => `${folder} has ${count} files; ${FILES_OF_A_FOLDER} is the limit`);
}

function excess({ path, text }: Source, { functions, casts }: Contents): string[] {
  const lines = text.trimEnd().split('\n').length;
  const long = functions.filter(each => each.lines > LINES_OF_A_FUNCTION);
  return [
    ...(lines > LINES_OF_A_FILE ? [`${path} has ${lines} lines; ${LINES_OF_A_FILE} is the limit`] : []),
    ...long.map(
      each =>
        `${path}:${each.line} is a function of ${each.lines} lines; ${LINES_OF_A_FUNCTION} is the limit`,
    ),
    ...casts.map(line => `${path}:${line} casts through unknown`),
  ];
}
