import { BangerError } from '../errors.ts';
import { isId } from '../id.ts';
import { oneLine } from '../text.ts';

const NAME = /^[a-z0-9][a-z0-9._-]{0,62}$/u;

/**
 * Checks the name of an image, or of a VM: 1 to 63 of `a-z 0-9 . _ -`, beginning with a letter or digit, not shaped like an id.
 * @throws BangerError `usage`
 */
export function assertValidName(name: string, what: 'image' | 'VM' = 'image'): void {
  const shown = oneLine(name).slice(0, 80);
  if (!NAME.test(name)) {
    throw new BangerError('usage', `'${shown}' is not a valid ${what} name`, {
      hints: ['use 1 to 63 of a-z, 0-9, ".", "_" and "-", beginning with a letter or digit'],
    });
  }
  if (isId(name)) {
    throw new BangerError(
      'usage',
      `'${shown}' has the shape of ${what === 'VM' ? 'a VM' : 'an image'} id and cannot be a name`,
      {
        hints: ['choose a name that is not 32 hexadecimal digits'],
      },
    );
  }
}
