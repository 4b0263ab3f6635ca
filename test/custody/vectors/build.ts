import { decodeHeaders } from '#custody/headers.ts';
import { parseRecord } from '#custody/record/parse.ts';
import { BAD } from './bad.ts';
import type { Vector, VectorKeys, VectorMessage } from './format.ts';
import { type Case, GOOD } from './good.ts';
import { createSender } from './sender.ts';

/** Every vector from the fixed keys: path in this folder → content. Deterministic. */
export function buildVectors(keys: VectorKeys) {
  const sender = createSender(keys);
  const files = new Map<string, Vector>();

  function vector(given: Case, message: VectorMessage, expect: Vector['expect']): Vector {
    const receiver = keys.identities[given.to ?? 'analyzer'];
    if (receiver === undefined) throw new Error(`no identity ${given.to}`);
    return {
      description: given.description,
      now: keys.time + (given.later ?? 0),
      receiver: { id: receiver.id, start: keys.time + (given.start ?? -60_000) },
      before: (given.before ?? []).map((forgery) => sender.message(forgery)),
      message,
      expect,
    };
  }

  for (const given of GOOD) {
    const message = sender.message(given.forgery);
    const headers = decodeHeaders(message.headers);
    const record = headers.ok ? parseRecord(headers.value.jws) : headers;
    if (!record.ok) throw new Error(`${given.name}: ${record.code}`);
    const { id, claims } = record.value;
    const gap = given.name === 'gap' ? 3 : 0;
    files.set(`good/${given.name}.json`, vector(given, message, { signer: claims.iss, id, gap }));
  }
  for (const given of BAD) {
    const message = sender.message(given.forgery);
    files.set(`bad/${given.name}.json`, vector(given, message, { code: given.code }));
  }
  return { files, signatures: sender.signatures };
}
