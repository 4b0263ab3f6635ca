import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { fetchOnce } from '#test/identity/issuer/raw-client.ts';
import { type SpireAdmin, spireAdmin } from './spire-admin.ts';

export interface SpirePrograms {
  readonly server: string;
  readonly agent: string;
}

export interface SpireOptions {
  readonly trustDomain: string;
  /** How often the server reads its entries and the agent asks for them; SPIRE's own: 5 s each. */
  readonly interval?: string;
  /** Path of the identity that this process has from the start. */
  readonly path: string;
}

export interface Spire {
  readonly admin: SpireAdmin;
  /** Of the agent's Workload API. */
  readonly socket: string;
  /** Of the server's own administration, for its command. */
  readonly serverSocket: string;
  readonly agentPid: number;
  /** SPIFFE ID path of the agent: parent of the entries. */
  readonly agentPath: string;
  /** Entry of `path`. */
  readonly entryId: string;
  stop(): Promise<void>;
}

const READY_MS = 60_000;
const ASK_AGAIN_MS = 100;

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

const interval = (key: string, value: string | undefined): string =>
  value === undefined ? '' : `experimental { ${key} = "${value}" }`;

/** Entries and log on disk as ours; no limit that would hold one busy client back. */
function serverConfig(folder: string, port: number, options: SpireOptions): string {
  return `server {
  bind_address = "127.0.0.1"
  bind_port = ${port}
  socket_path = "${folder}/server.sock"
  trust_domain = "${options.trustDomain}"
  data_dir = "${folder}/server"
  log_level = "WARN"
  ratelimit {
    attestation = false
    signing = false
  }
  ${interval('cache_reload_interval', options.interval)}
}
plugins {
  DataStore "sql" {
    plugin_data {
      database_type = "sqlite3"
      connection_string = "${folder}/server/entries.sqlite3"
    }
  }
  NodeAttestor "join_token" { plugin_data {} }
  KeyManager "disk" { plugin_data { keys_path = "${folder}/server/keys.json" } }
}
`;
}

function agentConfig(folder: string, port: number, options: SpireOptions): string {
  return `agent {
  data_dir = "${folder}/agent"
  log_level = "WARN"
  server_address = "127.0.0.1"
  server_port = ${port}
  socket_path = "${folder}/agent.sock"
  trust_bundle_path = "${folder}/bundle.pem"
  trust_domain = "${options.trustDomain}"
  ${interval('sync_interval', options.interval)}
}
plugins {
  NodeAttestor "join_token" { plugin_data {} }
  KeyManager "memory" { plugin_data {} }
  WorkloadAttestor "unix" { plugin_data {} }
}
`;
}

/** What this process is to the agent's `unix` attestor. */
export const SELECTORS = [['unix', `uid:${process.getuid?.()}`]] as const;

/**
 * A SPIRE server and its agent in a folder of their own, on loopback and Unix sockets. Both are
 * ended and the folder removed by `stop`, and at the latest when this process exits.
 */
export async function startSpire(programs: SpirePrograms, options: SpireOptions): Promise<Spire> {
  const folder = mkdtempSync(join(tmpdir(), 'spire-'));
  const children: { readonly name: string; readonly child: ChildProcess }[] = [];
  const remove = (): void => {
    for (const { child } of children) child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  };
  const interrupted = (): never => process.exit(130);
  process.once('exit', remove);
  process.once('SIGINT', interrupted);
  process.once('SIGTERM', interrupted);
  let admin: SpireAdmin | undefined;
  const stop = async (): Promise<void> => {
    admin?.close();
    const gone = children
      .filter(({ child }) => child.exitCode === null && child.signalCode === null)
      .map(({ child }) => once(child, 'exit'));
    for (const { child } of children) child.kill('SIGKILL');
    await Promise.all(gone);
    remove();
    process.off('exit', remove);
    process.off('SIGINT', interrupted);
    process.off('SIGTERM', interrupted);
  };

  const start = async (name: string, program: string, args: readonly string[]) => {
    const log = openSync(join(folder, `${name}.log`), 'a');
    const child = spawn(program, ['run', '-config', join(folder, `${name}.conf`), ...args], {
      cwd: folder,
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    // Rejects with why a program could not be started.
    await once(child, 'spawn');
    children.push({ name, child });
    return child;
  };
  /** Asks until there is an answer, or a program has ended and its log says why. */
  const until = async <T>(what: string, ask: () => Promise<T | undefined>): Promise<T> => {
    for (const end = performance.now() + READY_MS; performance.now() < end; ) {
      const answer = await ask();
      if (answer !== undefined) return answer;
      const dead = children.find(({ child }) => child.exitCode !== null);
      if (dead !== undefined) {
        const log = readFileSync(join(folder, `${dead.name}.log`), 'utf8');
        throw new Error(`the SPIRE ${dead.name} ended:\n${log.slice(-2000)}`);
      }
      await pause(ASK_AGAIN_MS);
    }
    throw new Error(`no ${what} within ${READY_MS / 1000} s`);
  };

  try {
    const port = await freePort();
    for (const name of ['server', 'agent']) mkdirSync(join(folder, name), { mode: 0o700 });
    writeFileSync(join(folder, 'server.conf'), serverConfig(folder, port, options));
    writeFileSync(join(folder, 'agent.conf'), agentConfig(folder, port, options));
    await start('server', programs.server, []);
    const serverSocket = join(folder, 'server.sock');
    const bundle = await until('bundle of the SPIRE server', async () => {
      const shown = promisify(execFile)(programs.server, [
        'bundle',
        'show',
        '-socketPath',
        serverSocket,
      ]);
      return shown.then(
        ({ stdout }) => stdout,
        () => undefined,
      );
    });
    writeFileSync(join(folder, 'bundle.pem'), bundle);
    admin = spireAdmin(serverSocket, options.trustDomain);
    const token = randomUUID();
    const agentPath = await admin.createJoinToken(token);
    const entryId = randomUUID();
    const selectors = SELECTORS;
    const entry = { id: entryId, path: options.path, parent: agentPath, selectors, x509Ttl: 600 };
    await admin.createEntry(entry);
    const agent = await start('agent', programs.agent, ['-joinToken', token]);
    const socket = join(folder, 'agent.sock');
    await until('SVID from the SPIRE agent', async () => {
      const got = await fetchOnce(socket);
      return Array.isArray(got) && got.length > 0 ? got : undefined;
    });
    return { admin, socket, serverSocket, agentPid: agent.pid ?? 0, agentPath, entryId, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
