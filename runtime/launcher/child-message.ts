import type { FromChild } from '../process-protocol.ts';
import { plainText } from './log-file.ts';

const CODE = /^[A-Z][A-Z0-9_]{2,63}$/;
/** A token, a name: nothing that could write on a terminal. */
const ABOUT = /^[A-Za-z0-9_.-]{1,64}$/;

/** One line of a child's channel: foreign input. `undefined` when it is no message of a process. */
export function parseFromChild(line: string): FromChild | undefined {
  try {
    const message: unknown = JSON.parse(line);
    if (!isFromChild(message)) return undefined;
    return 'detail' in message ? { ...message, detail: plainText(message.detail) } : message;
  } catch {
    return undefined;
  }
}

function isFromChild(message: unknown): message is FromChild {
  if (typeof message !== 'object' || message === null) return false;
  const { type, code, detail, status, spans, dropped, note, index, vkey, size, time, about, over } =
    message as Readonly<Record<string, unknown>>;
  switch (type) {
    case 'ready':
      return true;
    case 'status':
      return typeof status === 'object' && status !== null;
    case 'alarm':
      if (about !== undefined && !(typeof about === 'string' && ABOUT.test(about))) return false;
      if (over !== undefined && over !== true) return false;
      return typeof code === 'string' && CODE.test(code) && typeof detail === 'string';
    case 'refused':
      return typeof code === 'string' && CODE.test(code) && typeof detail === 'string';
    case 'spans':
      return Array.isArray(spans) && Number.isSafeInteger(dropped);
    case 'quarantined':
    case 'fatal':
      return typeof detail === 'string';
    case 'entered':
      return typeof note === 'string' && isCount(index);
    case 'witness':
      return typeof vkey === 'string';
    case 'cosigned':
      return isCount(size) && isCount(time);
    default:
      return false;
  }
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}
