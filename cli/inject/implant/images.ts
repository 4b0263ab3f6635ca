import type { Control } from '../../wiring/controls.ts';
import { imageLike } from '../../wiring/images.ts';
import { SHARED_KEYS, variantOff } from '../../wiring/variants.ts';

/**
 * The image of a role with code of an attacker's beside it, signed like every other: it stands for a
 * hole in the role's own code that is used after the process was attested. Resolves with its folder.
 */
export function implantedImage(
  role: string,
  wiring: 'shared keys' | readonly Control[],
): Promise<string> {
  if (wiring === 'shared keys') {
    return imageLike(role, {
      folder: 'implant-shared-keys',
      variant: SHARED_KEYS,
      replace: { 'cli/wiring/membership.ts': 'cli/inject/implant/shared-keys.ts' },
    });
  }
  const off = [...new Set(wiring)].sort();
  return imageLike(role, {
    folder: off.length === 0 ? 'implant' : `implant-off-${off.join('-')}`,
    variant: variantOff(off),
    replace: { 'cli/wiring/own-identity.ts': 'cli/inject/implant/identity.ts' },
  });
}
