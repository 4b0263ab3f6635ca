import { readFileSync, statSync } from 'node:fs';

/** Names of users and groups by number. */
export interface Accounts {
  user(uid: number): string | undefined;
  group(gid: number): string | undefined;
}

/** `name:x:number:…`, as passwd(5) and group(5) have it; of two with one number the first counts. */
export function parseAccounts(text: string): ReadonlyMap<number, string> {
  const names = new Map<number, string>();
  for (const line of text.split('\n')) {
    const [name = '', , number = ''] = line.split(':');
    if (name === '' || !/^[0-9]{1,10}$/.test(number)) continue;
    if (!names.has(Number(number))) names.set(Number(number), name);
  }
  return names;
}

function openTable(path: string): (number: number) => string | undefined {
  let seen = '';
  let names: ReadonlyMap<number, string> = new Map();
  return (number) => {
    try {
      const { ino, mtimeNs, size } = statSync(path, { bigint: true });
      const mark = `${ino} ${mtimeNs} ${size}`;
      if (mark !== seen) {
        names = parseAccounts(readFileSync(path, 'utf8'));
        seen = mark;
      }
    } catch {
      return undefined;
    }
    return names.get(number);
  };
}

/**
 * The accounts of this machine's own files. What a directory service adds is not seen: such an
 * account has its number and no name.
 */
export function openAccounts(passwd = '/etc/passwd', group = '/etc/group'): Accounts {
  return { user: openTable(passwd), group: openTable(group) };
}
