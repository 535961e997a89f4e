import { mistake, shown } from './faults.ts';

/**
 * Values for ARG from `NAME=VALUE`, or `NAME` for what the environment has; of one that it does not have, nothing.
 * @throws BangerError `usage` that repeats no value
 */
export function parseBuildArguments(
  words: readonly string[],
  env: Readonly<Record<string, string | undefined>> = process.env,
): Map<string, string> {
  const given = new Map<string, string>();
  for (const word of words) {
    const equals = word.indexOf('=');
    const name = equals === -1 ? word : word.slice(0, equals);
    if (!/^[A-Za-z_][A-Za-z0-9_.-]*$/u.test(name)) {
      // What might be the value is not repeated.
      const what = equals === -1 ? 'what was given' : shown(name);
      throw mistake(`${what} is not the name of an argument`, 'write NAME=VALUE');
    }
    const value = equals === -1 ? (Object.hasOwn(env, name) ? env[name] : undefined) : word.slice(equals + 1);
    if (value !== undefined) given.set(name, value);
  }
  return given;
}
