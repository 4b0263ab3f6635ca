// Writes evidence/: `node test/custody/vectors/evidence.ts`, from the keys of keys.json. ECDSA is
// random: what was signed once is kept in evidence-signatures.json, so that files stay the same.
import { createPrivateKey } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { TAMPERINGS, type Tampering, tamper } from '#custody/evidence/tamper.ts';
import { buildEvidence } from './evidence-build.ts';
import type { VectorKeys } from './format.ts';

const here = new URL('.', import.meta.url);
const folder = new URL('evidence/', here);
const signed = new URL('evidence-signatures.json', here);
const jsonOf = (url: URL) => JSON.parse(readFileSync(url, 'utf8'));
const keys: VectorKeys = {
  ...jsonOf(new URL('keys.json', here)),
  signatures: existsSync(signed) ? jsonOf(signed) : {},
};

mkdirSync(folder, { recursive: true });
const at = (name: string) => new URL(name, folder);
const { files, signatures } = buildEvidence(keys);
const proven = files.get('proven.json') ?? '';
const same = existsSync(at('proven.json')) && readFileSync(at('proven.json'), 'utf8') === proven;
for (const [name, text] of files) writeFileSync(at(name), text);
writeFileSync(signed, `${JSON.stringify(signatures, null, 2)}\n`);

const forger = createPrivateKey(keys.identities.impostor?.key ?? '');
for (const how of Object.keys(TAMPERINGS) as Tampering[]) {
  // Some are signed anew by the forger: they are left as they are while what they alter is.
  if (same && existsSync(at(`${how}.json`))) continue;
  const tampered = tamper(proven, how, forger);
  if (!tampered.ok) throw new Error(tampered.detail);
  writeFileSync(at(`${how}.json`), tampered.value);
}
