import { compilePolicy } from './compile.ts';

// `npm run policy:build`: the committed bundle from the sources beside it.
const folder = new URL('.', import.meta.url).pathname;
const manifest = compilePolicy(folder, process.argv[2] ?? 'opa');
process.stdout.write(
  `policy/bundle.tar.gz ${manifest.bundle.slice(0, 16)} (opa ${manifest.opa})\n`,
);
