import { trustDomainOf } from '#identity/spiffe-id.ts';
import { parseNote } from '../log/note.ts';
import type { RecordClaims } from '../record.ts';
import type { Asks } from './verdict.ts';

/** More names than this are one file's fancy. */
const MAX_NAMES = 64;

export interface AskList {
  checkpoint(note: string): void;
  record(claims: RecordClaims): void;
  of(origin: string): Asks;
}

/** Collects what a file says that it would have to be judged by. */
export function createAskList(): AskList {
  const signers = new Set<string>();
  const trustDomains = new Set<string>();
  const keep = (names: Set<string>, name: string): void => {
    if (names.size < MAX_NAMES) names.add(name);
  };
  return {
    checkpoint(given) {
      const note = parseNote(given);
      for (const { name } of note.ok ? note.value.signatures : []) keep(signers, name);
    },
    record: ({ iss }) => keep(trustDomains, trustDomainOf(iss)),
    of: (origin) => ({ origin, signers: [...signers], trustDomains: [...trustDomains] }),
  };
}
