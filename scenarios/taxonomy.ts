/** An entry of a public list, with the name that the list gives it. */
export interface TaxonomyEntry {
  readonly list: 'asi' | 'llm' | 'mcp' | 'atlas' | 'cwe';
  readonly name: string;
}

/** The editions that ids and names are pinned to. */
export const TAXONOMY_LISTS = {
  asi: 'OWASP Top 10 for Agentic Applications, version 2026',
  llm: 'OWASP Top 10 for LLM Applications 2025',
  mcp: 'OWASP MCP Top 10, v0.1 (2025, beta)',
  atlas: 'MITRE ATLAS 5.6.0',
  cwe: 'MITRE Common Weakness Enumeration',
} as const satisfies Readonly<Record<TaxonomyEntry['list'], string>>;

/** Id → official name, as far as scenarios use it; sub-techniques with their technique's name. */
export const TAXONOMY = {
  ASI01: { list: 'asi', name: 'Agent Goal Hijack' },
  ASI03: { list: 'asi', name: 'Identity and Privilege Abuse' },
  ASI07: { list: 'asi', name: 'Insecure Inter-Agent Communication' },
  LLM01: { list: 'llm', name: 'Prompt Injection' },
  MCP06: { list: 'mcp', name: 'Intent Flow Subversion' },
  MCP07: { list: 'mcp', name: 'Insufficient Authentication & Authorization' },
  'AML.T0051.001': { list: 'atlas', name: 'LLM Prompt Injection: Indirect' },
  'AML.T0073': { list: 'atlas', name: 'Impersonation' },
  'AML.T0074': { list: 'atlas', name: 'Masquerading' },
  'CWE-290': { list: 'cwe', name: 'Authentication Bypass by Spoofing' },
  'CWE-1427': {
    list: 'cwe',
    name: 'Improper Neutralization of Input Used for LLM Prompting',
  },
} as const satisfies Readonly<Record<string, TaxonomyEntry>>;

export type TaxonomyId = keyof typeof TAXONOMY;
