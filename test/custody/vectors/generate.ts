// Writes the vectors: `node test/custody/vectors/generate.ts`. The keys are made once and kept in
// keys.json; a file changes only when what it says changes.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createTestCa, keyPem } from '#test/support/test-ca.ts';
import { buildVectors } from './build.ts';
import type { VectorKeys } from './format.ts';

const fileText = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`;
const here = new URL('.', import.meta.url);
const keysFile = new URL('keys.json', here);

async function makeKeys(): Promise<VectorKeys> {
  const ours = await createTestCa('city.example');
  const impostor = await createTestCa('city.example');
  const other = await createTestCa('other.example');
  const wanted = [
    ['sensor', ours, 'spiffe://city.example/agent/sensor/north/cam-1'],
    ['analyzer', ours, 'spiffe://city.example/agent/analyzer/north/analyzer-1'],
    ['action', ours, 'spiffe://city.example/agent/action/north/action-1'],
    ['mcp', ours, 'spiffe://city.example/service/mcp'],
    ['impostor', impostor, 'spiffe://city.example/agent/sensor/north/cam-1'],
    ['stranger', other, 'spiffe://other.example/agent/sensor/north/cam-1'],
  ] as const;
  const identities: Record<string, VectorKeys['identities'][string]> = {};
  for (const [name, ca, id] of wanted) {
    const svid = await ca.issue(id, { notBefore: new Date(Date.now() - 50_000) });
    const chain = svid.certificates.map((der) => Buffer.from(der).toString('base64'));
    identities[name] = { id, key: keyPem(svid.key), chain };
  }
  const trust = { 'city.example': ours.bundle.authorities.map((c) => c.raw.toString('base64')) };
  return { time: Math.floor(Date.now() / 1000) * 1000, trust, identities, signatures: {} };
}

const keys = existsSync(keysFile)
  ? (JSON.parse(readFileSync(keysFile, 'utf8')) as VectorKeys)
  : await makeKeys();
const { files, signatures } = buildVectors(keys);
writeFileSync(keysFile, fileText({ ...keys, signatures }));
for (const folder of ['good', 'bad']) {
  rmSync(new URL(folder, here), { recursive: true, force: true });
  mkdirSync(new URL(folder, here));
}
for (const [path, vector] of files) writeFileSync(new URL(path, here), fileText(vector));
