import { EXIT_CODES } from '#custody/evidence/verdict.ts';
import { ancestryJson } from '../story/ancestry.ts';
import type { Judgement } from './verdict-lines.ts';

/** The verdict for programs: the same as the lines say, and every fault that was kept. */
export function verdictJson({ verdict, trust, records }: Judgement) {
  const { ancestry, beyond = [], ...rest } = verdict;
  const hopsOf = (hops: typeof beyond) =>
    ancestry && ancestryJson({ ancestry: { ...ancestry, hops }, records }).hops;
  return {
    ...rest,
    exitCode: EXIT_CODES[verdict.overall],
    ...(trust !== undefined && { trust: trust.name }),
    ...(ancestry !== undefined && {
      action: ancestry.root,
      ...(ancestry.firstBad !== undefined && { firstBad: ancestry.firstBad.id }),
      hops: hopsOf(ancestry.hops),
      beyond: hopsOf(beyond),
    }),
  };
}
