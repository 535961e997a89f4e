import { constants, existsSync, statSync } from 'node:fs';
import { access } from 'node:fs/promises';
import { homedir } from 'node:os';
import { BangerError, messageOf } from '../errors.ts';
import { type Finding, fail, ok, warn } from '../finding.ts';
import type { Layout } from '../layout.ts';
import { openForReading } from '../store/open.ts';
import { canReflink, existingPart, filesystemOf, spaceOf } from '../system/filesystem.ts';
import { formatBytes, oneLine } from '../text.ts';
import { asRoot, type Patient } from './patient.ts';

/** Less than a small build takes. */
const LITTLE_BYTES = 4 * 1024 ** 3;
/** Less than the registry takes to go on. */
const NO_BYTES = 64 * 1024 ** 2;
const LITTLE_INODES = 1000;
const ELSEWHERE = 'banger doctor --state-dir DIR';

/** Everything below the state directory, without making any of it. */
export async function examineState(layout: Layout, patient: Patient): Promise<Finding[]> {
  let directory: Finding[];
  try {
    directory = examineDirectory(layout.stateDir, patient);
  } catch (error) {
    return [fail('state directory', `${layout.stateDir} cannot be used: ${messageOf(error)}`, ELSEWHERE)];
  }
  // What is in another user's, or on a file server, is not to be touched.
  if (directory.some(({ status }) => status === 'fail')) return directory;
  const images = existingPart(layout.imagesDir);
  return [...directory, await examineReflink(images), await examineSpace(images), examineRegistry(layout)];
}

function examineDirectory(stateDir: string, patient: Patient): Finding[] {
  const name = 'state directory';
  // Only there is it sure that a sudo with a kept HOME made it, and nobody else.
  const isAtHome = stateDir.startsWith(`${homedir()}/`);
  const existing = existingPart(stateDir);
  const filesystem = filesystemOf(existing);
  const findings: Finding[] = [];
  if (filesystem.remote) {
    findings.push(fail(name, `${stateDir} is on ${filesystem.name}, where SQLite is not safe`, ELSEWHERE));
  }
  if (existing !== stateDir)
    return [...findings, ok(name, `${stateDir} is made on first use (${filesystem.name})`)];
  const stat = statSync(stateDir);
  if (!stat.isDirectory()) return [fail(name, `${stateDir} is not a directory`, ELSEWHERE)];
  if (stat.uid !== patient.uid) {
    findings.push(
      fail(
        name,
        `${stateDir} belongs to uid ${stat.uid}, not to ${patient.name}`,
        patient.uid === 0
          ? 'sudo -H banger doctor'
          : isAtHome
            ? asRoot(patient, `chown -R ${patient.name} ${stateDir}`)
            : ELSEWHERE,
      ),
    );
  } else if ((stat.mode & 0o077) !== 0) {
    const mode = (stat.mode & 0o777).toString(8);
    findings.push(warn(name, `${stateDir} is open to others (mode ${mode})`, `chmod 0700 ${stateDir}`));
  }
  return findings.length > 0 ? findings : [ok(name, `${stateDir} (${filesystem.name})`)];
}

async function examineReflink(directory: string): Promise<Finding> {
  const name = 'reflink';
  const { name: type } = filesystemOf(directory);
  try {
    await access(directory, constants.W_OK);
  } catch (error) {
    return warn(name, `${directory} cannot be written, so it was not tried: ${oneLine(messageOf(error))}`);
  }
  return (await canReflink(directory))
    ? ok(name, `copies share their blocks (${type})`)
    : warn(
        name,
        `copies are made in full (${type}), each image and each kept step of a build with its whole size; on XFS or btrfs they would share their blocks, and cache_copies = "worthwhile" in the configuration keeps fewer steps`,
      );
}

async function examineSpace(directory: string): Promise<Finding> {
  const { freeBytes, totalBytes, freeInodes } = spaceOf(directory);
  const detail = `${formatBytes(freeBytes)} of ${formatBytes(totalBytes)} free for images`;
  const mend = 'banger image delete IMAGE';
  if (freeBytes < NO_BYTES) return fail('space', detail, mend);
  if (freeInodes !== null && freeInodes < LITTLE_INODES)
    return warn('space', `${freeInodes} inodes left`, mend);
  return freeBytes < LITTLE_BYTES ? warn('space', detail, mend) : ok('space', detail);
}

function examineRegistry(layout: Layout): Finding {
  const name = 'registry';
  const { database } = layout;
  if (!existsSync(database)) return ok(name, 'none yet');
  try {
    const store = openForReading(layout);
    if (store === null) return ok(name, 'empty');
    try {
      const integrity = String(store.pragma('integrity_check'));
      if (integrity === 'ok') return ok(name, `${database} is sound`);
      return fail(name, `${database} is damaged: ${oneLine(integrity)}`, restore(database));
    } finally {
      store.close();
    }
  } catch (error) {
    const damaged = error instanceof BangerError && error.code === 'corrupt';
    return fail(name, oneLine(messageOf(error)), damaged ? restore(database) : null);
  }
}

/** sqlite3's own way to save what can be read (sqlite.org, "Recovering Data From A Corrupt SQLite Database"). */
function restore(database: string): string {
  return `sqlite3 ${database} .recover | sqlite3 ${database}.recovered`;
}
