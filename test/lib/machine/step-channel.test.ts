import { Duplex, Readable } from 'node:stream';
import { expect, test } from 'vitest';
import { endMark } from '../../../src/lib/machine/step-agent.ts';
import { StepChannel } from '../../../src/lib/machine/step-channel.ts';

const TOKEN = 'cafe';
const END = endMark(TOKEN).toString('latin1');

/** A guest's end of a port: what it says, and what it was told. */
class Port extends Duplex {
  told = '';

  override _read(): void {}

  override _write(chunk: Buffer, _: string, done: () => void): void {
    this.told += chunk.toString('latin1');
    done();
  }

  /** Byte by byte, or all at once. */
  say(text: string, inPieces: boolean): void {
    const bytes = Buffer.from(text, 'latin1');
    if (!inPieces) this.push(bytes);
    else for (const byte of bytes) this.push(Buffer.of(byte));
  }
}

function open() {
  const ports = [new Port(), new Port()] as const;
  let die: (error: Error) => void = () => {};
  const gone = new Promise<never>((_, reject) => {
    die = reject;
  });
  const channel = new StepChannel({ channels: ports }, TOKEN, gone);
  return { run: ports[0], errors: ports[1], channel, die };
}

async function performed(inPieces: boolean, said: string, complained: string) {
  const { run, errors, channel } = open();
  let [output, complaints] = ['', ''];
  const result = channel.perform('true', {
    onOutput(bytes, stream) {
      if (stream === 'stdout') output += bytes.toString('latin1');
      else complaints += bytes.toString('latin1');
    },
  });
  run.say(said, inPieces);
  errors.say(complained, inPieces);
  return { status: await result, output, complaints, told: run.told };
}

test.each([true, false])(
  'an output ends with its mark, however it comes (byte by byte: %s)',
  async (inPieces) => {
    // NUL, and beginnings of the mark, may be in it.
    const text = `a\0b\0ca\0\0cafX ${TOKEN}\n`;
    const result = await performed(inPieces, `${text}${END}147\n`, `${END}0\n`);
    expect(result).toEqual({ status: 147, output: text, complaints: '', told: '4 none\ntrue' });
  },
);

test('what comes behind a mark is of the next script', async () => {
  const { run, errors, channel } = open();
  run.say(`one${END}0\ntwo${END}3\n`, false);
  errors.say(`${END}0\n!${END}0\n`, false);
  const heard: string[] = [];
  const onOutput = (bytes: Buffer): unknown => heard.push(bytes.toString());
  expect(await channel.perform('1', { onOutput })).toBe(0);
  expect(heard).toEqual(['one']);
  expect(await channel.perform('2', { onOutput })).toBe(3);
  expect(heard.slice(1).sort()).toEqual(['!', 'two']);
});

test('input goes in pieces with their lengths, to an empty one', async () => {
  const { run, errors, channel } = open();
  const result = channel.perform('cat', { input: Readable.from(['abc', 'de']) });
  while (!run.told.endsWith('0\n')) await new Promise(setImmediate);
  run.say(`${END}0\n`, false);
  errors.say(`${END}0\n`, false);
  expect(await result).toBe(0);
  expect(run.told).toBe('3 input\ncat3\nabc2\nde0\n');
});

test('input that fails fails the script, once the guest has been told that it is over', async () => {
  const { run, errors, channel } = open();
  const input = new Readable({
    read() {
      this.destroy(new Error('the disk is gone'));
    },
  });
  const result = channel.perform('cat', { input });
  result.catch(() => {});
  while (!run.told.endsWith('0\n')) await new Promise(setImmediate);
  run.say(`${END}0\n`, false);
  errors.say(`${END}0\n`, false);
  await expect(result).rejects.toThrow('the disk is gone');
});

test('a machine that ends, ends what waits for it', async () => {
  const { run, channel, die } = open();
  const result = channel.perform('sleep', { input: new Readable({ read() {} }) });
  run.say('half a li', false);
  die(new Error('the machine ended'));
  await expect(result).rejects.toThrow('the machine ended');
});
