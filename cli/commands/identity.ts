import { Command, InvalidArgumentError } from 'commander';
import { bundleToPem } from '#identity/bundle.ts';
import { readBundleDocument } from '#identity/bundle-document.ts';
import { writeEntriesJson } from '#identity/issuer/entry-json.ts';
import { type IdentityClient, identityClient, type Stored } from '../identity/client.ts';
import { type EntryFlags, entriesOfFile, entryOfFlags } from '../identity/input.ts';
import { didLine, entryDetail, entryLines, issuanceOf, issuedLines } from '../identity/lines.ts';
import { print, printJson, UserError } from '../output.ts';
import { joinVerb, nodeCommands } from './identity-nodes.ts';
import { globals, must, runningSwarm } from './options.ts';

interface RunOption {
  readonly run?: string;
  readonly json?: boolean;
}

const TOKEN_TTL_SECONDS = 600;
const MAX_ROWS = 100_000;

/** `swarmproof identity …`: what the issuer of a running swarm knows, gives and gave. */
export function identityCommand(): Command {
  // Before its subcommands are made: they inherit how errors end.
  const identity = new Command('identity')
    .description('registration entries, issued SVIDs, trust bundle and join tokens of a swarm')
    .exitOverride();
  const verb = (name: string, description: string): Command =>
    identity
      .command(name)
      .description(description)
      .option('--run <name>', 'which swarm, when several run')
      .option('--json', 'for programs');

  verb('entries', 'who gets which identity, and for how long').action(
    async (options: RunOption, command: Command) => {
      const stored = await (await clientOf(command, options)).entries();
      show(options, stored, (all) => entryLines(all, new Date()));
    },
  );
  verb('show', 'one entry in full')
    .argument('<entry>', 'its id, or the start of it')
    .action(async (id: string, options: RunOption, command: Command) => {
      const stored = await (await clientOf(command, options)).find(id);
      show(options, [stored], () => entryDetail(stored, new Date()));
    });
  addCommand(verb);
  verb('remove', 'take an entry away: its SVIDs are not renewed, its streams end at once')
    .argument('<entry>', 'its id, or the start of it')
    .action(async (id: string, options: RunOption, command: Command) => {
      const stored = await (await clientOf(command, options)).remove(id);
      show(options, [stored], () => [
        didLine('removed', stored),
        ...(stored.origin === 'file'
          ? ['it is of the swarm file: it comes back when the swarm is started again']
          : []),
      ]);
    });
  verb('issued', 'the newest rows of the issuance log, whose chain is followed from its start')
    .option('--limit <n>', 'how many rows to show', number(1, MAX_ROWS), 20)
    .action(async (options: RunOption & { limit: number }, command: Command) => {
      const log = await (await clientOf(command, options)).issued(options.limit);
      const rows = log.rows.map(({ seq, body, hash }) => ({ seq, ...issuanceOf(body), hash }));
      if (options.json === true) printJson({ ...log, rows });
      else for (const line of issuedLines(log)) print(line);
      if (log.broken !== undefined) throw new UserError(`LOG_BROKEN: ${log.broken}`);
    });
  verb('bundle', 'the trust bundle, as a SPIFFE bundle document')
    .option('--pem', 'the X.509 authorities as PEM instead')
    .action(async (options: RunOption & { pem?: boolean }, command: Command) => {
      const { trustDomain, document } = await (await clientOf(command, options)).bundle();
      const bundle = must(readBundleDocument(trustDomain, Buffer.from(document)));
      if (options.pem === true) process.stdout.write(bundleToPem(bundle.x509));
      else if (options.json === true) print(document);
      else printJson(JSON.parse(document));
    });
  verb('token', 'make a token by which one agent on another machine may join, once')
    .option('--ttl <seconds>', 'how long it may be used', number(0, 10_000_000), TOKEN_TTL_SECONDS)
    .option('--listen <host:port>', 'where agents come in; default: 127.0.0.1, a free port')
    .action(async (options: RunOption & { ttl: number; listen?: string }, command: Command) => {
      const made = await (await clientOf(command, options)).token(options.ttl, options.listen);
      if (options.json === true) return printJson(made);
      print(`token      ${made.token}`);
      print(`agent ID   ${made.agentId}`);
      print(`ends       ${made.expiresAt}`);
      print(`endpoint   ${made.address}`);
      print();
      print('It is shown this once and kept nowhere. Bring it to the agent together with the');
      print("output of 'swarmproof identity bundle', by which the agent knows this issuer.");
    });
  nodeCommands(verb, clientOf);
  identity.addCommand(joinVerb().exitOverride());
  return identity;
}

function addCommand(verb: (name: string, description: string) => Command): void {
  verb('add', 'give an identity to who has all selectors; it outlives restarts')
    .argument('[file]', "entries as 'spire-server entry create -data' takes them; - for stdin")
    .option('--spiffe-id <id>', 'the identity')
    .option('--selector <type:value>', 'what the workload must have; repeatable', collect)
    .option('--parent-id <id>', 'node of the workload; default: this machine')
    .option('--x509-svid-ttl <seconds>', 'life of certificates; default 3600', seconds)
    .option('--jwt-svid-ttl <seconds>', 'life of tokens; default 300', seconds)
    .option('--dns <name>', 'DNS name in certificates; repeatable', collect)
    .option('--federates-with <trust domain>', 'refused: no bundle can be added yet', collect)
    .option('--hint <text>', 'for the workload, to tell its identities apart')
    .option('--entry-expiry <epoch>', 'when the entry ends, in seconds since 1970', seconds)
    .option('--entry-id <id>', 'default: made of the entry itself')
    .option('--jwt-svid-include-jti', 'each token is new and has an id of its own')
    .action(async (file: string | undefined, options: RunOption & EntryFlags, command: Command) => {
      if (file !== undefined && options.spiffeId !== undefined) {
        throw new UserError('name a file or --spiffe-id, not both');
      }
      const inputs = file === undefined ? [entryOfFlags(options)] : entriesOfFile(file);
      const added = await (await clientOf(command, options)).add(inputs);
      show(options, added, () => added.map((one) => didLine('added', one)));
    });
}

async function clientOf(command: Command, { run }: RunOption): Promise<IdentityClient> {
  return identityClient(await runningSwarm(globals(command), run));
}

/** For programs, in the form that `identity add` and SPIRE read again. */
function show(
  { json }: RunOption,
  stored: readonly Stored[],
  lines: (stored: readonly Stored[]) => readonly string[],
): void {
  if (json === true) printJson(writeEntriesJson(stored.map(({ entry }) => entry)));
  else for (const line of lines(stored)) print(line);
}

function collect(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}

function number(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!Number.isSafeInteger(value) || value < min || value > max) {
      throw new InvalidArgumentError(`a whole number from ${min} to ${max}`);
    }
    return value;
  };
}

function seconds(text: string): number {
  return number(0, Number.MAX_SAFE_INTEGER)(text);
}
