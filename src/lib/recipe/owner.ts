import { mistake, shown } from './faults.ts';

/**
 * `user` or `user:group`, by name or number.
 * @param written as it stands in the file, for the message
 * @throws BangerError `usage`
 */
export function readOwner(written: string, value: string): string {
  if (!/^[^\s:\u0000-\u001f\u007f]+(?::[^\s:\u0000-\u001f\u007f]+)?$/u.test(value)) {
    throw mistake(`${shown(written)} is not a user`, 'write USER, USER:GROUP, or their numbers');
  }
  return value;
}
