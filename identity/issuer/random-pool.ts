/** Octets drawn at once: one call of the generator costs as much as a tenth of a certificate. */
const POOL_BYTES = 4096;

/**
 * Random octets for serial numbers and jitter, from a supply. For nothing secret: what was handed out
 * lies in the supply until the next one is drawn.
 * @param random cryptographically secure
 */
export function pooledRandom(random: (size: number) => Uint8Array): (size: number) => Uint8Array {
  let pool: Uint8Array = new Uint8Array();
  let used = 0;
  return (size) => {
    if (size > pool.length - used) {
      pool = random(Math.max(size, POOL_BYTES));
      used = 0;
    }
    used += size;
    return pool.subarray(used - size, used);
  };
}
