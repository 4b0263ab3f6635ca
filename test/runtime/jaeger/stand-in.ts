import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * A program that listens where Jaeger's configuration tells it to and answers as Jaeger does to who
 * asks whether it is one; the real one is asked in `test/observability/jaeger.slow.test.ts`.
 */
export function standInJaeger(folder: string): string {
  const path = join(folder, 'jaeger');
  writeFileSync(
    path,
    `#!${process.execPath}
const { readFileSync } = require('node:fs');
const { createServer } = require('node:http');
if (process.argv[2] === 'version') {
  console.log('{"gitCommit":"","gitVersion":"v2.13.0","buildDate":""}');
  process.exit(0);
}
const config = readFileSync(process.argv[3].replace(/^file:/, ''), 'utf8');
const [ui, , otlp] = [...config.matchAll(/127\\.0\\.0\\.1:(\\d+)/g)].map((found) => Number(found[1]));
createServer((request, answer) => {
  answer.setHeader('content-type', 'application/json');
  answer.end('{"data":null,"total":0,"limit":0,"offset":0,"errors":null}');
}).listen(ui, '127.0.0.1');
createServer((request, answer) => answer.end('{}')).listen(otlp, '127.0.0.1');
`,
  );
  chmodSync(path, 0o755);
  return path;
}
