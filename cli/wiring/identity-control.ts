import { z } from 'zod';
import { EntryFields } from '#identity/issuer/link-messages.ts';
import { accept, refuse } from '#identity/outcome.ts';
import type { ControlVerb } from '#runtime/control/server.ts';
import type { IssuerLink } from '#runtime/launcher/issuer-link.ts';

const addArgs = z.strictObject({ entries: z.array(EntryFields).max(1000) });
const removeArgs = z.strictObject({ id: z.string().max(255) });
const evictArgs = z.strictObject({ id: z.string().max(2048) });
const issuedArgs = z.strictObject({ from: z.int().min(1) });
const tokenArgs = z.strictObject({
  ttl: z.int().nonnegative(),
  listen: z.string().max(300).optional(),
});

/** What an operator said that is not of the form: their mistake, told as such. */
function read<T>(schema: z.ZodType<T>, args: unknown) {
  const parsed = schema.safeParse(args);
  if (parsed.success) return accept(parsed.data);
  const [issue] = parsed.error.issues;
  return refuse('ENTRY_INVALID', `${issue?.path.join('.')}: ${issue?.message}`);
}

/** Operations on the issuer of a running swarm: entries, the issuance log, bundle, tokens, nodes. */
export function identityVerbs(administer: IssuerLink['administer']) {
  return {
    'identity-entries': async (_args, part) => {
      for (let offset = 0; ; ) {
        const page = await administer((issuer) => issuer.listEntries(offset));
        if (!page.ok) return page;
        for (const one of page.value.entries) part(one);
        offset += page.value.entries.length;
        if (page.value.entries.length === 0 || offset >= page.value.total) return accept({});
      }
    },
    'identity-add': async (args) => {
      const wanted = read(addArgs, args);
      if (!wanted.ok) return wanted;
      return administer((issuer) => issuer.addEntries(wanted.value.entries));
    },
    'identity-remove': async (args) => {
      const wanted = read(removeArgs, args);
      if (!wanted.ok) return wanted;
      return administer((issuer) => issuer.removeEntry(wanted.value.id));
    },
    'identity-issued': async (args, part, signal) => {
      const wanted = read(issuedArgs, args);
      if (!wanted.ok) return wanted;
      for (let { from } = wanted.value; ; ) {
        const page = await administer((issuer) => issuer.issued(from));
        if (!page.ok) return page;
        const { rows, head } = page.value;
        for (const row of rows) part(row);
        from += rows.length;
        if (rows.length === 0 || from > head.seq || signal.aborted) return accept({ head });
      }
    },
    'identity-bundle': () => administer((issuer) => issuer.bundleDocument()),
    // The answer holds the token: it goes to whoever has the control token, and into no log.
    'identity-token': async (args) => {
      const wanted = read(tokenArgs, args);
      if (!wanted.ok) return wanted;
      return administer((issuer) => issuer.joinToken(wanted.value));
    },
    'identity-nodes': () => administer((issuer) => issuer.listNodes()),
    'identity-evict': async (args) => {
      const wanted = read(evictArgs, args);
      if (!wanted.ok) return wanted;
      return administer((issuer) => issuer.evictNode(wanted.value.id));
    },
  } satisfies Record<string, ControlVerb>;
}
