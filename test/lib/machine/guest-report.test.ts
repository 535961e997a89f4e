import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type GuestReport, GuestReports, reportingFunctions } from '../../../src/lib/machine/guest-report.ts';
import { run } from '../../../src/lib/system/process.ts';

const TOKEN = '0123456789abcdef';

function line(count: number, name: string, ...values: string[]): string {
  const said = [TOKEN, count, name, ...values.map((value) => Buffer.from(value).toString('base64'))].join(
    ':',
  );
  return `${said}:${createHash('sha256').update(said).digest('hex').slice(0, 12)}`;
}

function collect(): { reports: GuestReport[]; feed: (text: string) => void } {
  const reports: GuestReport[] = [];
  const stream = new GuestReports(TOKEN, (report) => reports.push(report)).stream();
  return { reports, feed: (text) => stream(Buffer.from(text)) };
}

describe('reports of a guest', () => {
  test('are found among what others say, in pieces of any size, once each', () => {
    const { reports, feed } = collect();
    const text = `[ 0.1] Linux\r\nlogin: ${line(0, 'up', '1.5', 'a: b\nc')}\r\n${line(0, 'up', '1.5', 'a: b\nc')}\n${line(1, 'done')}\r\n`;
    for (const character of text) feed(character);
    expect(reports).toEqual([
      { name: 'up', values: ['1.5', 'a: b\nc'] },
      { name: 'done', values: [] },
    ]);
  });

  test('that were damaged on the way, or are of another, are none', () => {
    const { reports, feed } = collect();
    const whole = line(0, 'up', 'running');
    feed(`${whole.replace('up', 'us')}\n${whole.slice(0, 20)}[ 5.0] noise${whole.slice(20)}\n`);
    feed(`${whole.replace(TOKEN, 'fedcba9876543210')}\n${whole.slice(0, -1)}\n`);
    expect(reports).toEqual([]);
    feed(`\n${whole}\n`);
    expect(reports).toHaveLength(1);
  });

  test('cost bounded memory where a line never ends', () => {
    const { reports, feed } = collect();
    for (let times = 0; times < 1000; times += 1) feed('x'.repeat(10_000));
    feed(`\n${line(0, 'up')}\n`);
    expect(reports).toHaveLength(1);
  });

  test('are written by a shell as they are read', async () => {
    const { reports, feed } = collect();
    const directory = await mkdtemp(join(tmpdir(), 'banger-test-'));
    onTestFinished(() => rm(directory, { recursive: true }));
    const functions = reportingFunctions({ busybox: 'busybox', token: TOKEN, port: 'none' });
    // /dev/console is the guest's.
    const script = `${functions.replaceAll('>/dev/console', '>>console')}
report started 0.25 "two
lines"
report up "" 'a "quoted" \\word'
report done`;
    await run('busybox', ['sh', '-c', script], { cwd: directory });
    feed(await readFile(join(directory, 'console'), 'utf8'));
    expect(reports).toEqual([
      { name: 'started', values: ['0.25', 'two\nlines'] },
      { name: 'up', values: ['', 'a "quoted" \\word'] },
      { name: 'done', values: [] },
    ]);
  });
});
