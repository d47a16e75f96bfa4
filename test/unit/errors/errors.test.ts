import assert from 'node:assert/strict';
import { constants } from 'node:os';
import { test } from 'node:test';
import {
  errorCodes,
  exitCodes,
  GalleonError,
  isErrorCode,
  toErrno,
  toExitCode,
  toGalleonError,
  toProblem,
} from '../../../src/errors/index.ts';

test('an error carries the kind and retryability of its code', () => {
  const error = new GalleonError('STORE_LOCKED', 'the store at /s is open in another process');
  assert.equal(error.kind, 'busy');
  assert.equal(error.retryable, true);
  assert.equal(new GalleonError('STORE_DAMAGED', 'segment 7').retryable, false);
});

test('every kind has an exit code of its own, none that shells use', () => {
  const codes = Object.values(exitCodes);
  assert.equal(new Set(codes).size, codes.length);
  assert.ok(codes.every((code) => code >= 1 && code < 64));
});

test('every code maps to an errno, an HTTP error status and an exit code', () => {
  for (const code of Object.keys(errorCodes).filter(isErrorCode)) {
    const error = new GalleonError(code, 'x');
    assert.ok(toErrno(error) > 0, code);
    assert.ok(toExitCode(error) > 0, code);
    const { status } = toProblem(error);
    assert.ok(status >= 400 && status < 600, code);
  }
});

test('running out of space is ENOSPC and 507', () => {
  const error = new GalleonError('STORE_NO_SPACE', 'full');
  assert.equal(toErrno(error), constants.errno.ENOSPC);
  assert.equal(toProblem(error).status, 507);
});

test('details extend a problem and never replace its standard members', () => {
  const error = new GalleonError('VOLUME_NOT_FOUND', 'no volume "a"', { details: { volume: 'a', status: 200 } });
  assert.deepEqual(toProblem(error), {
    type: 'urn:galleonfs:error:volume-not-found',
    title: 'Not found',
    status: 404,
    detail: 'no volume "a"',
    code: 'VOLUME_NOT_FOUND',
    retryable: false,
    volume: 'a',
  });
});

test('a foreign error is wrapped with its cause and what was being done', () => {
  const cause = Object.assign(new Error('open failed'), { code: 'EACCES', syscall: 'open' });
  const error = toGalleonError(cause, 'reading the config');
  assert.equal(error.code, 'SYSTEM_PERMISSION');
  assert.equal(error.message, 'reading the config: open failed');
  assert.equal(error.cause, cause);
  assert.equal(toGalleonError(error), error);
  assert.equal(toGalleonError('text').code, 'INTERNAL');
});
