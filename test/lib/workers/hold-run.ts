import { open, say, until, work } from './protocol.ts';

const [, , stateDir = ''] = process.argv;

await work(async () => {
  const workspace = await open(stateDir);
  say(`run ${workspace.run.row.id}`);
  await until('end');
  workspace.close();
});
