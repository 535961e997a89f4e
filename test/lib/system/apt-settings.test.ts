import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import {
  connectionSettings,
  credentialsOf,
  guestSettings,
  readCredentials,
  withoutCredentials,
} from '../../../src/lib/system/apt-settings.ts';

test('what says how mirrors are reached is taken, all else is left', () => {
  const dump = `APT "";
APT::Architecture "amd64";
APT::Update::Post-Invoke:: "rm -rf /";
Dir::Etc "etc/apt";
DPkg::Post-Invoke:: "touch /tmp/x";
Acquire "";
Acquire::Check-Valid-Until "false";
Acquire::Retries "5";
Acquire::Languages "none";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "true";
Acquire::http::Proxy "http://user:secret@proxy.example:3128";
Acquire::https::CaInfo "/etc/ssl/ours.pem";
Acquire::http::Proxy::mirror.example "DIRECT";
`;
  expect(connectionSettings(dump)).toBe(`Acquire::Check-Valid-Until "false";
Acquire::Retries "5";
Acquire::http::Proxy "http://user:secret@proxy.example:3128";
Acquire::https::CaInfo "/etc/ssl/ours.pem";
Acquire::http::Proxy::mirror.example "DIRECT";
`);
});

test('a guest gets nothing of it that is a file or a command of this machine', () => {
  const settings = `Acquire::Retries "5";
Acquire::http::Proxy "";
Acquire::http::Proxy-Auto-Detect "find-proxy";
Acquire::http::Proxy "http://proxy.example:3128";
Acquire::https::CaInfo "/etc/ssl/ours.pem";
`;
  expect(guestSettings(settings)).toBe(
    'Acquire::Retries "5";\nAcquire::http::Proxy "http://proxy.example:3128";\n',
  );
  expect(guestSettings('')).toBe('');
});

test('a name and a password in an address become a login of apt, and leave the address', () => {
  expect(credentialsOf('https://us%40er:p%3Ass@mirror.example/debian')).toBe(
    'machine mirror.example/debian login us@er password p:ss\n',
  );
  expect(credentialsOf('http://me:pw@mirror.example:8080/')).toBe(
    'machine http://mirror.example:8080/ login me password pw\n',
  );
  expect(credentialsOf('http://mirror.example/')).toBe('');
  expect(withoutCredentials('https://me:pw@mirror.example/debian')).toBe('https://mirror.example/debian');
  expect(withoutCredentials('http://mirror.example/a@b')).toBe('http://mirror.example/a@b');
});

test('logins are read from all files that apt reads', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'banger-auth-'));
  try {
    expect(await readCredentials(directory)).toBe('');
    await mkdir(join(directory, 'auth.conf.d'));
    await writeFile(join(directory, 'auth.conf'), 'machine a login b password c');
    await writeFile(join(directory, 'auth.conf.d/x.conf'), 'machine d login e password f\n');
    await writeFile(join(directory, 'auth.conf.d/x.conf.bak'), 'machine never login e password f\n');
    expect(await readCredentials(directory)).toBe(
      'machine a login b password c\nmachine d login e password f\n',
    );
  } finally {
    await rm(directory, { recursive: true });
  }
});
