import { expect, test } from 'vitest';
import { imagesOf } from '../../../src/lib/recipe/images.ts';
import { readText } from './read-text.ts';

const TEXT = `FROM a AS one
FROM unused
FROM scratch AS two
WORKDIR /w
COPY --from=one /x /y
COPY --from=b . .
COPY . .
RUN --mount=from=c,target=/c --mount=from=one,target=/one --mount=target=/here true
RUN --mount=type=cache,from=d,target=/d --mount=type=cache,target=/e --mount=type=secret,id=s true
FROM a
COPY --from=two / /
COPY --from=b . .`;

test('the images of a recipe are those that its stages begin from, copy from and mount', () => {
  expect(imagesOf(readText(TEXT))).toEqual(['a', 'b', 'c', 'd']);
  expect(imagesOf(readText('FROM scratch\nCOPY a b'))).toEqual([]);
});
