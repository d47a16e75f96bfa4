/** Leaves a test out, with the reason, where something it needs is missing; on CI (CI=true) that is a failure instead. */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { TestContext } from 'node:test';

/** Programs, or absolute paths; `root` stands for being root. */
export function needs(t: TestContext, ...wanted: readonly string[]): boolean {
  if (isAvailable(...wanted)) return true;
  return leftOut(t, `not available: ${wanted.filter((one) => !isThere(one)).join(', ')}`);
}

/** For preparing what tests that `needs` leaves out would use. */
export function isAvailable(...wanted: readonly string[]): boolean {
  return wanted.every(isThere);
}

/** Tests that take minutes run with GALLEONFS_TEST_LONG=1. */
export function needsPatience(t: TestContext): boolean {
  if (process.env['GALLEONFS_TEST_LONG'] === '1') return true;
  t.skip('takes minutes; set GALLEONFS_TEST_LONG=1');
  return false;
}

function leftOut(t: TestContext, reason: string): false {
  if (process.env['CI'] === 'true') throw new Error(reason);
  t.skip(reason);
  return false;
}

function isThere(one: string): boolean {
  if (one === 'root') return process.getuid?.() === 0;
  const directories = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  const candidates = one.startsWith('/') ? [one] : directories.map((directory) => join(directory, one));
  return candidates.some((path) => {
    try {
      accessSync(path, constants.F_OK);
      return true;
    } catch {
      return false;
    }
  });
}
