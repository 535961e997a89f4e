import { expect, test } from 'vitest';
import { stepInput } from '../../../src/lib/image/step-key.ts';
import { explainMiss } from '../../../src/lib/image/step-outcome.ts';

const instruction = stepInput('instruction', 'RUN make');
const [one, two] = [stepInput('files', 1), stepInput('files', 2)];
const env = stepInput('env A', 1);

function kept(...inputs: unknown[]): { inputs: string } {
  return { inputs: JSON.stringify(inputs) };
}

test.each([
  ['nothing is kept', [], 'not kept of an earlier build'],
  ['its files are other ones', [kept(instruction, two)], 'changed: files'],
  ['of several the nearest counts', [kept(instruction, two, env), kept(instruction, two)], 'changed: files'],
  ['a variable is gone', [kept(instruction, one, env)], 'changed: env A (no more)'],
  ['it is another step', [kept(stepInput('instruction', 'RUN ls'), one)], 'changed: the step itself'],
  [
    'it is quite another step',
    [kept(stepInput('instruction', 'RUN ls'), two)],
    'not kept of an earlier build',
  ],
  ['nothing differs', [kept(instruction, one)], 'its files are gone or were written to'],
])('%s', (_, others, reason) => {
  expect(explainMiss({ inputs: [instruction, one] }, others)).toBe(reason);
});
