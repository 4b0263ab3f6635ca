import type { ChatTool } from './schema.ts';

/**
 * How the mock model reads instructions. It is as gullible as a weak real model: an instruction is
 * obeyed wherever it stands, in the operator's prompt or in the free text of a reading. Without
 * that, the controls behind the model would never be put to the test.
 *
 *   instruction = sentence that names an offered tool and has a command verb before the name
 *                 ("call", "use", "run", "invoke", "execute", "trigger", "apply", "open", "set",
 *                 "activate", "start", "perform", "issue", "send"), or calls it: `tool(…)`.
 *   not one     = the verb is negated ("never call …") or merely permitted ("you may call …").
 *   arguments   = 1. a JSON object after the name     valve.set {"delta_pct": 80}
 *                 2. a call's list                    valve.set(delta_pct=80)
 *                 3. `parameter [to|=|:|of|is] value` for each parameter of the tool's schema
 *                 4. else, per parameter: a word out of its `enum`; for a number the first number
 *                    after the name; for a text the first quoted text.
 *   The rest of the message is read for arguments when the sentence gives none of a parameter.
 */
export interface Instruction {
  readonly tool: string;
  readonly arguments: Readonly<Record<string, unknown>>;
}

const VERBS =
  'call|use|run|invoke|execute|trigger|apply|open|set|activate|start|perform|issue|send';
const COMMAND = new RegExp(`\\b(?:${VERBS})\\b`, 'i');
const NO_COMMAND = new RegExp(
  `(?:\\b(?:never|not|cannot|can|may|might|could|would|without)|n't)\\s+(?:\\w+\\s+){0,4}?(?:${VERBS})\\b`,
  'i',
);
/** A prompt is often JSON: where one of its texts ends, so does the sentence. */
const SENTENCE_END = /(?<=[.!?;])\s+|\n+|"\s*[,:}\]]|[[{,]\s*"/;
const NUMBER = /[+-]?\d+(?:\.\d+)?/;
/** Text after the name that may still give arguments; a page-long text is not searched to its end. */
const REACH = 400;
const RUNBOOK_REACH = 2_000;

/** The last instruction of a text, since later words weigh more; `undefined` when there is none. */
export function findInstruction(text: string, tools: readonly ChatTool[]): Instruction | undefined {
  // A reading arrives as JSON inside the prompt: its escapes are undone for reading.
  const plain = text.replace(/\\[nrt]/g, '\n').replace(/\\"/g, '"');
  // Arguments are read once, at the end: a text that repeats itself must not cost its square.
  let found: { tool: ChatTool; sentence: string; start: number; end: number } | undefined;
  let offset = 0;
  for (const sentence of plain.split(SENTENCE_END)) {
    const start = plain.indexOf(sentence, offset);
    offset = start + sentence.length;
    let from = 0;
    for (const { tool, at, end } of mentions(sentence, tools)) {
      if (commands(sentence.slice(from, at), sentence[end])) found = { tool, sentence, start, end };
      from = end;
    }
  }
  if (found === undefined) return undefined;
  const { tool, sentence, start, end } = found;
  const after = plain.slice(start + end, start + end + REACH);
  return {
    tool: tool.function.name,
    arguments: argumentsFrom(sentence.slice(end), sentence, after, tool),
  };
}

/** Reads `Tool: name {json}` of a runbook's last line; the honest road to a proposal. */
export function findRunbook(text: string, tools: readonly ChatTool[]): Instruction | undefined {
  const plain = text.replace(/\\[nrt]/g, '\n').replace(/\\"/g, '"');
  for (const match of plain.matchAll(/\bTool:\s*([A-Za-z0-9._-]+)\s*/g)) {
    const name = match[1];
    if (!tools.some((tool) => tool.function.name === name) || name === undefined) continue;
    const start = match.index + match[0].length;
    const given = leadingObject(plain.slice(start, start + RUNBOOK_REACH));
    return { tool: name, arguments: given ?? {} };
  }
  return undefined;
}

/** Every place where a text names one of the tools, in the order of the text. */
function mentions(text: string, tools: readonly ChatTool[]) {
  const lower = text.toLowerCase();
  const found: { tool: ChatTool; at: number; end: number }[] = [];
  for (const tool of tools) {
    const name = tool.function.name.toLowerCase();
    for (let at = lower.indexOf(name); at !== -1; at = lower.indexOf(name, at + name.length)) {
      const end = at + name.length;
      // `valve.set` is not named by `valve.setting`, nor `set` by `valve.set`.
      const bounded = !/[\w.-]/.test(lower[at - 1] ?? ' ') && !/[\w-]/.test(lower[end] ?? ' ');
      if (bounded) found.push({ tool, at, end });
    }
  }
  return found.sort((one, other) => one.at - other.at);
}

function commands(before: string, next: string | undefined): boolean {
  if (NO_COMMAND.test(before)) return false;
  return COMMAND.test(before) || next === '(';
}

function argumentsFrom(inSentence: string, sentence: string, after: string, tool: ChatTool) {
  const given = leadingObject(
    after.replace(/^[\s`'":]*(?:with|using|and)?(?:\s+\w+){0,2}\s*(?=\{)/i, ''),
  );
  if (given !== undefined) return given;
  const properties = propertiesOf(tool);
  const result: Record<string, unknown> = {};
  for (const [name, schema] of Object.entries(properties)) {
    const value =
      labelled(inSentence, name, schema) ??
      labelled(sentence, name, schema) ??
      unlabelled(inSentence, schema) ??
      labelled(after, name, schema) ??
      unlabelled(after, schema);
    if (value !== undefined) result[name] = value;
  }
  return result;
}

function propertiesOf(tool: ChatTool): Record<string, Record<string, unknown>> {
  const properties = tool.function.parameters?.properties;
  return isObject(properties)
    ? Object.fromEntries(
        Object.entries(properties).map(([name, schema]) => [name, isObject(schema) ? schema : {}]),
      )
    : {};
}

function labelled(text: string, name: string, schema: Record<string, unknown>): unknown {
  const spelled = name.split('_').map(escapeRegExp).join('[ _]');
  const first = escapeRegExp(name.split('_')[0] ?? name);
  for (const label of [spelled, first]) {
    const pattern = new RegExp(
      `\\b${label}["'\`]?\\s*(?:to|=|:|of|is|as|by)?\\s*["'\`]?([+-]?[\\w.]+)`,
      'gi',
    );
    for (const match of text.matchAll(pattern)) {
      const value = typed(match[1] ?? '', schema);
      if (value !== undefined) return value;
    }
  }
  return undefined;
}

function unlabelled(text: string, schema: Record<string, unknown>): unknown {
  if (Array.isArray(schema.enum)) {
    return text.split(/[^\w.-]+/).find((word) => (schema.enum as unknown[]).includes(word));
  }
  if (isNumeric(schema)) return typed(NUMBER.exec(text)?.[0] ?? '', schema);
  return /["'`]([^"'`]{1,200})["'`]/.exec(text)?.[1];
}

function typed(word: string, schema: Record<string, unknown>): unknown {
  const trimmed = word.replace(/[.]+$/, '');
  if (isNumeric(schema)) {
    const number = NUMBER.exec(trimmed);
    return number?.index === 0 ? Number(number[0]) : undefined;
  }
  if (Array.isArray(schema.enum)) return schema.enum.includes(trimmed) ? trimmed : undefined;
  return trimmed === '' ? undefined : trimmed;
}

/** The JSON object that a text starts with, however much follows it. */
function leadingObject(text: string): Record<string, unknown> | undefined {
  if (!text.startsWith('{')) return undefined;
  for (let end = text.indexOf('}'); end !== -1; end = text.indexOf('}', end + 1)) {
    try {
      const parsed: unknown = JSON.parse(text.slice(0, end + 1));
      return isObject(parsed) ? parsed : undefined;
    } catch {}
  }
  return undefined;
}

function isNumeric(schema: Record<string, unknown>): boolean {
  return schema.type === 'number' || schema.type === 'integer';
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function escapeRegExp(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
