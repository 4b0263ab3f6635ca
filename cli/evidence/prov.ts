import type { Hop } from '#custody/verify.ts';
import { pathOf, type SpiffeId } from '#identity/spiffe-id.ts';
import type { AncestryView } from '../story/ancestry.ts';
import { tell } from '../story/tell.ts';

/** Namespaces that are URIs and nobody's website. */
const RECORD = 'urn:swarmproof:record:';
const MAKING = 'urn:swarmproof:making:';
const TERMS = 'urn:swarmproof:terms:';

type Relation = Record<string, Record<string, string>>;

/**
 * An ancestry as PROV-JSON (W3C member submission): each record an entity, its making an activity of
 * an agent, whose identity is its SPIFFE ID; causes are used, and what was made is derived from them.
 * It tells the story to other tools. The proof is the evidence, and each entity says its verdict.
 */
export function provJson({ ancestry, records }: AncestryView) {
  const payloads = new Map(records.map(({ id, payload }) => [id, payload]));
  const agents = new Map<SpiffeId, string>();
  const agentOf = (id: SpiffeId): string => {
    const known = agents.get(id) ?? `agent:a${agents.size}`;
    agents.set(id, known);
    return known;
  };
  const entity: Record<string, object> = {};
  const activity: Record<string, object> = {};
  const relations = {
    wasGeneratedBy: {} as Relation,
    used: {} as Relation,
    wasAssociatedWith: {} as Relation,
    wasAttributedTo: {} as Relation,
    wasDerivedFrom: {} as Relation,
  };
  let count = 0;
  const relate = (kind: keyof typeof relations, ends: Record<string, string>): void => {
    relations[kind][`_:${kind}${count}`] = ends;
    count += 1;
  };

  for (const hop of ancestry.hops) {
    const name = `record:${hop.id}`;
    entity[name] = entityOf(hop, payloads.get(hop.id));
    if (hop.claims === undefined) continue;
    const { iss, iat, par } = hop.claims;
    const time = new Date(iat * 1000).toISOString();
    const making = `making:${hop.id}`;
    activity[making] = { 'prov:endTime': time };
    const agent = agentOf(iss);
    const [maker, made] = [{ 'prov:activity': making }, { 'prov:entity': name }];
    relate('wasGeneratedBy', { ...made, ...maker, 'prov:time': time });
    relate('wasAssociatedWith', { ...maker, 'prov:agent': agent });
    relate('wasAttributedTo', { ...made, 'prov:agent': agent });
    for (const cause of par) {
      const used = `record:${cause}`;
      relate('used', { ...maker, 'prov:entity': used });
      relate('wasDerivedFrom', {
        'prov:generatedEntity': name,
        'prov:usedEntity': used,
        ...maker,
      });
    }
  }
  return {
    prefix: { record: RECORD, making: MAKING, agent: `${TERMS}agent:`, swarmproof: TERMS },
    entity,
    activity,
    agent: Object.fromEntries(
      [...agents].map(([id, name]) => [
        name,
        {
          'prov:type': { $: 'prov:SoftwareAgent', type: 'prov:QUALIFIED_NAME' },
          'prov:label': pathOf(id),
          'swarmproof:spiffeId': { $: id, type: 'xsd:anyURI' },
        },
      ]),
    ),
    ...relations,
  };
}

function entityOf({ verdict, claims, witnessed }: Hop, payload: Uint8Array | undefined) {
  if (claims === undefined) return { 'swarmproof:verdict': verdict };
  const { what, text } = tell(claims, payload);
  return {
    'prov:label': `${what}: ${text}`,
    'swarmproof:verdict': verdict,
    'swarmproof:kind': claims.knd,
    'swarmproof:subject': claims.sbj,
    'swarmproof:payloadDigest': claims.pdg,
    ...(witnessed !== undefined && {
      'swarmproof:witnessed': {
        $: new Date(witnessed * 1000).toISOString(),
        type: 'xsd:dateTime',
      },
    }),
  };
}
