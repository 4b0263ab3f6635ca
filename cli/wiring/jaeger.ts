import { join } from 'node:path';
import { startJaeger } from '#runtime/jaeger/jaeger.ts';
import { type JaegerAddress, jaegerAt, probeJaeger } from '#runtime/jaeger/probe.ts';
import { findLifeline } from '#runtime/launcher/lifeline.ts';
import { TOOLS } from '#runtime/tools/catalog.mjs';
import { provision } from '#runtime/tools/provision.mjs';
import { UserError } from '../output.ts';
import { CHECKOUT } from './checkout.ts';

/** Where Jaeger is when nobody says otherwise: the ports of its container and of its program. */
const USUAL = 'http://127.0.0.1:16686';
const PROBE_MS = 2000;
const BY_HAND =
  'docker run --rm -p 127.0.0.1:16686:16686 -p 127.0.0.1:4318:4318 jaegertracing/jaeger:2.13.0';

export interface OpenJaeger extends JaegerAddress {
  /** `running`: it was there; `started`: it ends with the swarm; `named`: nobody has looked. */
  readonly kind: 'running' | 'started' | 'named';
  stop(): Promise<void>;
}

export interface JaegerWanted {
  /** Of `--jaeger=URL`: where its UI is. */
  readonly url: string | undefined;
  /** Where the environment says that spans go. */
  readonly otlp: string | undefined;
  readonly runPath: string;
  readonly environment: NodeJS.ProcessEnv;
  readonly say: (line: string) => void;
  readonly signal?: AbortSignal;
}

/**
 * A Jaeger that takes this swarm's spans: the one that is named, else one that runs at the usual
 * place, else one of the swarm's own. Where the environment says where spans go, a named URL is
 * believed and serves links alone: it is the browser's way to Jaeger, which need not be ours.
 * @throws UserError with what to do, when there is none.
 */
export async function openJaeger(wanted: JaegerWanted): Promise<OpenJaeger> {
  const base = checked(wanted.url ?? USUAL);
  const stop = async (): Promise<void> => {};
  if (wanted.otlp !== undefined && wanted.url !== undefined) {
    return { ui: base, otlp: wanted.otlp, kind: 'named', stop };
  }
  const usual = jaegerAt(base);
  const address = { ...usual, otlp: wanted.otlp ?? usual.otlp };
  const why = await probeJaeger(address, { fetch, timeoutMs: PROBE_MS });
  if (why === undefined) return { ...address, kind: 'running', stop };
  if (wanted.url !== undefined || wanted.otlp !== undefined) {
    throw new UserError(`--jaeger: ${why}; start Jaeger there: ${BY_HAND}`);
  }
  return ownJaeger(wanted, why);
}

async function ownJaeger(wanted: JaegerWanted, why: string): Promise<OpenJaeger> {
  const { environment, say, signal } = wanted;
  const releaseBase = environment.SWARMPROOF_RELEASE_BASE;
  const found = await provision(TOOLS.jaeger, {
    toolsFolder: join(CHECKOUT, '.swarmproof', 'tools'),
    environment,
    platform: process.platform,
    arch: process.arch,
    say,
    quiet: true,
    ...(releaseBase !== undefined && releaseBase !== '' && { releaseBase }),
    ...(signal !== undefined && { signal }),
  });
  if (!found.ok) {
    throw new UserError(
      `--jaeger: ${why}, and there is no jaeger here: ${found.byHand}; or: ${BY_HAND}`,
    );
  }
  const started = await startJaeger({
    program: found.path,
    runPath: wanted.runPath,
    lifeline: await findLifeline(),
    fetch,
  });
  if (!started.ok) throw new UserError(`--jaeger: ${started.detail}`);
  const { address, stop } = started.value;
  return { ...address, kind: 'started', stop };
}

/** @throws UserError when it is no URL that a browser opens */
function checked(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.username !== '') {
    throw new UserError('--jaeger takes an http or https URL, such as http://127.0.0.1:16686');
  }
  return `${url.origin}${url.pathname}`.replace(/\/+$/, '');
}
