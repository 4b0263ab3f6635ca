import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Command } from 'commander';
import { bundleOfFile } from '../identity/bundle-file.ts';
import type { IdentityClient } from '../identity/client.ts';
import { nodeLines } from '../identity/lines.ts';
import { onInterrupt } from '../interrupt.ts';
import { print, printJson, UserError } from '../output.ts';
import { globals } from './options.ts';

interface Shown {
  readonly run?: string;
  readonly json?: boolean;
}
type Verb = (name: string, description: string) => Command;
type ClientOf = (command: Command, options: Shown) => Promise<IdentityClient>;

/** `identity nodes` and `identity evict`: machines that joined, on the issuer's side. */
export function nodeCommands(verb: Verb, clientOf: ClientOf): void {
  verb('nodes', 'agents on other machines that joined').action(
    async (options: Shown, command: Command) => {
      const nodes = await (await clientOf(command, options)).nodes();
      if (options.json === true) printJson({ nodes });
      else for (const line of nodeLines(nodes, new Date())) print(line);
    },
  );
  verb(
    'evict',
    'put a node out: its workloads lose their streams, and it may join with a new token',
  )
    .argument('<node>', 'its SPIFFE ID, or the start of the last part of it')
    .action(async (id: string, options: Shown, command: Command) => {
      const node = await (await clientOf(command, options)).evict(id);
      if (options.json === true) printJson(node);
      else {
        print(`evicted ${node.id}`);
        print('certificates that it was given are valid to their end');
      }
    });
}

interface JoinOptions {
  readonly address: string;
  readonly bundle: string;
  readonly socket: string;
  readonly tokenFile?: string;
  readonly dataDir?: string;
  readonly trustDomain?: string;
}

const ADDRESS = /^(\[[0-9a-fA-F:.]+\]|[^:[\]]+):([0-9]{1,5})$/;

/** A token as `identity token` shows it, with nothing around it but white space. */
function tokenOfFile(path: string): string {
  try {
    return readFileSync(path === '-' ? 0 : path, 'utf8').trim();
  } catch (error) {
    throw new UserError(`${path}: cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
}

/** `identity join`: the agent of another machine, in the foreground until it is stopped or evicted. */
export function joinVerb(): Command {
  return new Command('join')
    .description("run on another machine: join a swarm's trust domain and serve SVIDs there")
    .requiredOption('--address <host:port>', "the endpoint that 'identity token' shows")
    .requiredOption('--bundle <file>', "what 'identity bundle' printed, brought here safely")
    .requiredOption('--socket <path>', 'where workloads of this machine find the Workload API')
    .option('--token-file <file>', 'the token, for the first time; - for standard input')
    .option('--data-dir <dir>', 'where key and SVID are kept; default: node in the state folder')
    .option('--trust-domain <name>', 'when the bundle does not say it')
    .action(async (options: JoinOptions, command: Command) => {
      const [, host = '', port] = ADDRESS.exec(options.address) ?? [];
      if (port === undefined || Number(port) > 65_535) {
        throw new UserError(`--address ${options.address}: write it as host:port`);
      }
      // Native code, which no other command of these needs.
      const { startNodeAgent } = await import('#identity/node/agent.ts');
      const stopped = onInterrupt();
      const folder = options.dataDir ?? join(globals(command).stateDir, 'node');
      const agent = await startNodeAgent({
        host: host.replace(/^\[|\]$/g, ''),
        port: Number(port),
        bundle: bundleOfFile(options.bundle, options.trustDomain),
        ...(options.tokenFile !== undefined && { token: tokenOfFile(options.tokenFile) }),
        folder: resolve(folder),
        socketPath: resolve(options.socket),
        // Another uid's program cannot be looked at without root, so only root serves other uids.
        socketMode: process.getuid?.() === 0 ? 0o666 : 0o600,
        clock: () => new Date(),
        random: randomBytes,
        say: (line) => process.stderr.write(`${line}\n`),
        signal: stopped.signal,
      });
      if (stopped.signal.aborted) {
        if (agent.ok) await agent.value.close();
        return;
      }
      if (!agent.ok) throw new UserError(`${agent.code}: ${agent.detail}`);
      print(`${agent.value.id} serves ${resolve(options.socket)}`);
      const interrupted = new Promise<undefined>((resolve) => {
        stopped.signal.addEventListener('abort', () => resolve(undefined));
      });
      const over = await Promise.race([agent.value.ended, interrupted]);
      await agent.value.close();
      if (over !== undefined) throw new UserError(`${over.code}: ${over.detail}`);
    });
}
