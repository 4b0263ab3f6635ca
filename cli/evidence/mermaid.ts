import type { Hop } from '#custody/verify.ts';
import { pathOf } from '#identity/spiffe-id.ts';
import type { AncestryView } from '../story/ancestry.ts';
import { tell } from '../story/tell.ts';

const MAX_LABEL = 60;

/** Text in a quoted label: Mermaid reads entities with `#`, and Markdown between backticks. */
function quoted(text: string): string {
  const short = text.length <= MAX_LABEL ? text : `${text.slice(0, MAX_LABEL - 1)}…`;
  return short.replace(/[^\p{L}\p{N} .,:=/_…()+-]/gu, (sign) => `#${sign.codePointAt(0)};`);
}

/** An ancestry as a flowchart for Mermaid: causes above their effects, a class for each verdict. */
export function mermaidLines({ ancestry, records }: AncestryView): readonly string[] {
  const payloads = new Map(records.map(({ id, payload }) => [id, payload]));
  const places = new Map(ancestry.hops.map(({ id }, index) => [id, `r${index}`]));
  const label = ({ id, claims, verdict }: Hop): string => {
    const short = id.slice(0, 8);
    if (claims === undefined) return `${quoted(short)}<br/>${verdict}`;
    const { what, text } = tell(claims, payloads.get(id));
    const lines = [`${what}: ${text}`, pathOf(claims.iss), `${short}, ${verdict}`];
    return lines.map(quoted).join('<br/>');
  };
  return [
    'flowchart TD',
    ...ancestry.hops.map((hop) => `  ${places.get(hop.id)}["${label(hop)}"]:::${hop.verdict}`),
    ...ancestry.hops.flatMap(({ id, claims }) =>
      (claims?.par ?? []).map((cause) => `  ${places.get(cause)} --> ${places.get(id)}`),
    ),
    '  classDef genuine stroke:#2e7d32,stroke-width:2px',
    '  classDef withheld stroke:#f9a825,stroke-width:2px',
    '  classDef unverifiable stroke:#c62828,stroke-dasharray:4',
    '  classDef forged stroke:#c62828,stroke-width:4px',
  ];
}
