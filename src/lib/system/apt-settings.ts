import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '../errors.ts';
import { findTool } from './preflight.ts';
import { run } from './process.ts';

/**
 * How this machine's apt reaches and judges its mirrors: proxies, certificates, retries, dates. All else of its
 * configuration is about this machine's own packages.
 */
const CONNECTION =
  /^Acquire::(?:(?:https?|ftp|tor|socks5h?)::|(?:Retries|Check-Valid-Until|Check-Date|Max-ValidTime|Min-ValidTime|Max-FutureTime|ForceIPv4|ForceIPv6|By-Hash)(?:::| ))/iu;

/** The lines of `apt-config dump` that say how mirrors are reached, as an apt.conf(5). */
export function connectionSettings(dump: string): string {
  return dump
    .split('\n')
    .filter((line) => CONNECTION.test(line))
    .map((line) => `${line}\n`)
    .join('');
}

/** This machine's settings, its secrets included: for a file that only its owner reads and that no image keeps. */
export async function readConnectionSettings(signal?: AbortSignal): Promise<string> {
  const { stdout } = await run('apt-config', ['dump'], signal ? { signal } : {});
  return connectionSettings(stdout);
}

/** Values that are files or commands of this machine, which a guest has not. */
const OF_THIS_MACHINE = /^\S+ "\/|::Proxy-Auto-Detect(?:::| )|^\S+ "";/iu;

/**
 * What of them a guest's apt can do with, as an apt.conf(5), for as long as it runs on this machine; empty where there is
 * nothing, or no apt.
 */
export async function readGuestSettings(signal: AbortSignal): Promise<string> {
  if ((await findTool('apt-config')) === null) return '';
  return guestSettings(await readConnectionSettings(signal));
}

export function guestSettings(settings: string): string {
  return settings
    .split('\n')
    .filter((line) => line !== '' && !OF_THIS_MACHINE.test(line))
    .map((line) => `${line}\n`)
    .join('');
}

/** What apt knows to log in with (apt_auth.conf(5)), as far as this user may read it. */
export async function readCredentials(directory = '/etc/apt'): Promise<string> {
  const parts = join(directory, 'auth.conf.d');
  const names = await readdir(parts).catch((error: unknown) => unreadable<string[]>(error, []));
  const files = [
    join(directory, 'auth.conf'),
    ...names
      .filter((name) => name.endsWith('.conf'))
      .sort()
      .map((name) => join(parts, name)),
  ];
  const texts = await Promise.all(
    files.map((file) => readFile(file, 'utf8').catch((error: unknown) => unreadable(error, ''))),
  );
  return texts
    .filter((text) => text.trim() !== '')
    .map((text) => `${text.trimEnd()}\n`)
    .join('');
}

/** The same for a mirror whose address holds a name and a password; empty for one that holds none. */
export function credentialsOf(uri: string): string {
  const { protocol, host, pathname, username, password } = new URL(uri);
  if (username === '') return '';
  // A plain machine name is for https alone.
  const machine = protocol === 'https:' ? '' : `${protocol}//`;
  return `machine ${machine}${host}${pathname} login ${decodeURIComponent(username)} password ${decodeURIComponent(password)}\n`;
}

/** An address without name and password. */
export function withoutCredentials(uri: string): string {
  return uri.replace(/^([a-z+]+:\/\/)[^/@]*@/iu, '$1');
}

function unreadable<T>(error: unknown, instead: T): T {
  if (['ENOENT', 'ENOTDIR', 'EACCES', 'EISDIR'].includes(errnoOf(error) ?? '')) return instead;
  throw error;
}
