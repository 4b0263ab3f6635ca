import { accept, type Outcome, type Refused, refuse } from '#identity/outcome.ts';
import { decodeBase64, encodeBase64 } from '../base64url.ts';
import { cosign, openCheckpoint, type SignedCheckpoint } from './checkpoint.ts';
import type { WitnessCode } from './codes.ts';
import { type ForkProof, judgeStep } from './fork.ts';
import { HASH_BYTES } from './hash.ts';
import type { NoteSigner, VerifierKey } from './keys.ts';
import { MAX_NOTE_CHARACTERS } from './note.ts';
import { MAX_PROOF } from './proof.ts';

/** `add-checkpoint` of c2sp.org/tlog-witness. */
export interface WitnessRequest {
  readonly oldSize: number;
  /** From the tree of `oldSize` to the checkpoint's. */
  readonly proof: readonly Uint8Array[];
  /** A signed note. */
  readonly checkpoint: string;
}

/** What a witness remembers of one log: the last checkpoint that it cosigned. */
export interface WitnessMemory {
  readonly size: number;
  readonly root: Uint8Array;
  /** The note as the log signed it, for a proof of a fork. */
  readonly note: string;
  /** Seconds; a witness never goes back in time, whatever its clock does. */
  readonly time: number;
}

/** Where a witness keeps what it must not forget: who forgets cosigns a fork. */
export interface WitnessStore {
  /** The log's last checkpoint, or `undefined` when there has been none. */
  read(origin: string): Promise<WitnessMemory | undefined>;
  /** Resolves when it is durable; before that nothing is signed. */
  write(origin: string, memory: WitnessMemory): Promise<void>;
  /** Keeps a proof that the log forked, for whoever asks, and for an alarm. */
  raise(proof: ForkProof): Promise<void>;
}

export interface WitnessRefusal extends Refused<WitnessCode> {
  /** With `WITNESS_SIZE_CONFLICT`: the size that it cosigned last. */
  readonly size?: number;
  /** With `WITNESS_FORK`: what convinces others. */
  readonly proof?: ForkProof;
}

export interface Witness {
  readonly verifier: VerifierKey;
  /** A signature line with its newline, or why not. One request at a time per log. */
  cosign(
    request: WitnessRequest,
  ): Promise<{ readonly ok: true; readonly value: string } | WitnessRefusal>;
}

export interface WitnessOptions {
  /** A `cosignature` key. */
  readonly signer: NoteSigner;
  /** Origin → keys of that log. */
  readonly logs: ReadonlyMap<string, readonly VerifierKey[]>;
  readonly store: WitnessStore;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
}

type Answer = Awaited<ReturnType<Witness['cosign']>>;

/**
 * Follows logs and cosigns what begins with all it has cosigned before. Trusts nobody: a request
 * may come from anyone, the log's own key may be a forger's. Its whole worth is its memory, so the
 * memory is written first, and check and write are one step.
 */
export function createWitness({ signer, logs, store, clock }: WitnessOptions): Witness {
  /** The tail of each log's queue: of two requests judged by one memory, one would be a fork. */
  const queues = new Map<string, Promise<unknown>>();

  async function judge(request: WitnessRequest, next: SignedCheckpoint): Promise<Answer> {
    const before = await store.read(next.origin);
    const size = before?.size ?? 0;
    if (request.oldSize > next.size) {
      return refuse('WITNESS_OLD_SIZE_AHEAD', 'old size exceeds the size of the checkpoint');
    }
    // A fork of what was cosigned last needs no proof of consistency to be seen.
    const last = before && { note: before.note, size, root: before.root };
    const step = judgeStep(last, { ...next, note: request.checkpoint }, request);
    if (step.verdict === 'fork') {
      await store.raise(step.proof);
      const refused = refuse('WITNESS_FORK' as const, 'the log has signed another history before');
      return { ...refused, proof: step.proof };
    }
    if (request.oldSize !== size) {
      const detail = `the last cosigned checkpoint has size ${size}`;
      return { ...refuse('WITNESS_SIZE_CONFLICT' as const, detail), size };
    }
    if (step.verdict === 'unproven') {
      return refuse('WITNESS_PROOF_INVALID', 'the consistency proof does not lead there');
    }
    const time = Math.max(Math.floor(clock() / 1000), before?.time ?? 0);
    const { root } = next;
    // The same again within a second is remembered already: whoever repeats a checkpoint that
    // anybody may have read costs no write.
    if (before?.size !== next.size || before.time !== time) {
      await store.write(next.origin, { size: next.size, root, note: request.checkpoint, time });
    }
    return accept(cosign(next.text, signer, time));
  }

  return {
    verifier: signer.verifier,
    async cosign(request) {
      const [origin = ''] = request.checkpoint.slice(0, 1024).split('\n', 1);
      const keys = logs.get(origin);
      if (keys === undefined)
        return refuse('WITNESS_ORIGIN_UNKNOWN', 'no such log is watched here');
      const opened = openCheckpoint(request.checkpoint, { origin, log: keys, witnesses: [] });
      if (!opened.ok) {
        const unsigned =
          opened.code === 'NOTE_UNSIGNED' || opened.code === 'NOTE_SIGNATURE_INVALID';
        const code = unsigned ? 'WITNESS_LOG_UNSIGNED' : 'WITNESS_REQUEST_MALFORMED';
        return refuse(code, opened.detail);
      }
      const turn = queues.get(origin) ?? Promise.resolve();
      const answer = turn.then(() =>
        judge(request, opened.value).catch(() =>
          refuse('WITNESS_STORAGE_FAILED' as const, 'the checkpoint could not be stored'),
        ),
      );
      queues.set(origin, answer);
      return answer;
    },
  };
}

const OLD = /^old (0|[1-9][0-9]{0,15})$/;

/** The body of an `add-checkpoint` request. */
export function formatWitnessRequest({ oldSize, proof, checkpoint }: WitnessRequest): string {
  return `old ${oldSize}\n${proof.map((hash) => `${encodeBase64(hash)}\n`).join('')}\n${checkpoint}`;
}

export function parseWitnessRequest(body: string): Outcome<WitnessRequest, WitnessCode> {
  const malformed = (detail: string) => refuse('WITNESS_REQUEST_MALFORMED' as const, detail);
  if (body.length > MAX_NOTE_CHARACTERS * 2) return malformed('the request is too large');
  const blank = body.indexOf('\n\n');
  if (blank === -1) return malformed('no blank line before the checkpoint');
  const [first = '', ...lines] = body.slice(0, blank).split('\n');
  const oldSize = Number(OLD.exec(first)?.[1]);
  if (!Number.isSafeInteger(oldSize)) return malformed('the first line is not "old" and a size');
  if (lines.length > MAX_PROOF) return malformed(`a proof has at most ${MAX_PROOF} hashes`);
  const proof: Uint8Array[] = [];
  for (const line of lines) {
    const hash = decodeBase64(line);
    if (hash?.length !== HASH_BYTES) return malformed('a line of the proof is not a hash');
    proof.push(hash);
  }
  return accept({ oldSize, proof, checkpoint: body.slice(blank + 2) });
}
