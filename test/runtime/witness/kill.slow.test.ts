import { randomInt } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { testLog } from '#test/custody/log/support.ts';
import { createWitnessBench } from './process.ts';
import { entries, request } from './support.ts';

let bench: Awaited<ReturnType<typeof createWitnessBench>>;
beforeAll(async () => {
  bench = await createWitnessBench();
});
afterAll(() => bench.clear());

const KILLS = 100;
/** No life of a witness is so short that nothing happens, nor so long that everything is done. */
const LIFE_MS = 80;

/**
 * A ledger with two faces: from what is cosigned, two histories grow, each shown by a client of its
 * own as fast as the witness answers, until it is killed. Whichever was cosigned first, the other
 * must never be, in this life or the next.
 */
test(`a witness killed ${KILLS} times under load never cosigns two histories and never forgets`, async () => {
  const { start, client } = bench;
  let history = entries(1);
  let cosignedInAll = 0;
  let killedInWrite = 0;
  let witness = await start();
  expect(await client.add(request(testLog(history), 0))).toMatchObject({ ok: true });

  for (let round = 0; round < KILLS; round += 1) {
    const size = history.length;
    const faces = ['left', 'right'].map((face) =>
      testLog([...history, ...entries(400, ` of ${face} in round ${round}`)]),
    );
    const cosigned = faces.map(() => size);
    let alive = true;
    const busy = Promise.withResolvers<void>();
    const press = async (face: number): Promise<void> => {
      const log = faces[face];
      if (log === undefined) return;
      for (let last = size; alive && last < log.tree.size(); ) {
        const answer = await client.add(request(log, last, last + 1));
        if (answer.ok) {
          last += 1;
          cosigned[face] = last;
          busy.resolve();
        } else if (answer.code === 'WITNESS_SIZE_CONFLICT') {
          // The other face was faster: now this one tries to go on from there as if it were its own.
          last = Math.min(answer.size ?? last, log.tree.size() - 1);
        }
      }
    };
    const pressing = faces.map((_, face) => press(face));
    // In most rounds it has begun, however slow the machine is; in some it may not have.
    if (round % 4 !== 0) await busy.promise;
    await delay(randomInt(LIFE_MS * 1000) / 1000);
    witness.kill();
    await witness.exited;
    alive = false;
    await Promise.all(pressing);

    const [left = size, right = size] = cosigned;
    expect(Math.min(left, right), `round ${round}: both faces were cosigned`).toBe(size);
    witness = await start();
    const probe = await client.add(request(testLog(history), 0, 1));
    const remembered = probe.ok ? 1 : 'size' in probe ? (probe.size ?? 0) : 0;
    expect(remembered, `round ${round}: forgot`).toBeGreaterThanOrEqual(Math.max(left, right));
    // Stored, and killed before it could answer: it counts as cosigned.
    if (remembered > Math.max(left, right)) killedInWrite += 1;
    cosignedInAll += remembered - size;
    if (remembered === size) continue;
    const goesOn = await Promise.all(
      faces.map((log) => client.add(request(log, remembered, remembered))),
    );
    const [winner, ...more] = [0, 1].filter((face) => goesOn[face]?.ok);
    expect(more, `round ${round}: both histories go on`).toEqual([]);
    if (winner === undefined) throw new Error(`round ${round}: none of them goes on`);
    if (Math.max(left, right) > size) expect(cosigned[winner]).toBe(Math.max(left, right));
    const face = winner === 0 ? 'left' : 'right';
    history = [...history, ...entries(remembered - size, ` of ${face} in round ${round}`)];
  }
  await witness.stop(2000);
  process.stderr.write(
    `${KILLS} kills, ${cosignedInAll} checkpoints cosigned, ${killedInWrite} kills between storing and answering\n`,
  );
  expect(cosignedInAll).toBeGreaterThan(KILLS / 2);
}, 300_000);
