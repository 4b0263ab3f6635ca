/** Does a NATS pattern (`*` one segment, `>` the rest) cover a subject? */
export function covers(pattern: string, subject: string): boolean {
  const wanted = pattern.split('.');
  const given = subject.split('.');
  for (const [index, segment] of wanted.entries()) {
    if (segment === '>') return given.length > index;
    if (given[index] === undefined || given[index] === '') return false;
    if (segment !== '*' && segment !== given[index]) return false;
  }
  return wanted.length === given.length;
}
