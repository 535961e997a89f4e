import { expect, test } from 'vitest';
import { urlsForGuest } from '../../../src/lib/machine/machine-network.ts';

test("servers on the host's loopback address are where a guest reaches the host, others stay", () => {
  const changed = {
    'http://127.0.0.1:3142': 'http://10.0.2.2:3142',
    'http://localhost/': 'http://10.0.2.2/',
    'http://localhost': 'http://10.0.2.2',
    'http://me:secret@127.0.1.1:8080/x': 'http://me:secret@10.0.2.2:8080/x',
    'http://[::1]:80': 'http://10.0.2.2:80',
    'Acquire::http::Proxy "http://localhost:3142";\nAcquire::Retries "3";\n':
      'Acquire::http::Proxy "http://10.0.2.2:3142";\nAcquire::Retries "3";\n',
  };
  for (const [text, expected] of Object.entries(changed)) expect(urlsForGuest(text)).toBe(expected);
  for (const text of [
    'http://localhost.example:80',
    'http://example/127.0.0.1/x',
    'localhost,127.0.0.1',
    '',
  ]) {
    expect(urlsForGuest(text)).toBe(text);
  }
});
