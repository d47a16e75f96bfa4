import { readFile, stat } from 'node:fs/promises';

/** The process id that holds a lock on the file, as far as /proc/locks shows it (it hides other PID namespaces). */
export async function lockHolder(path: string): Promise<number | undefined> {
  try {
    const [{ ino }, locks] = await Promise.all([stat(path), readFile('/proc/locks', 'utf8')]);
    // "1: POSIX  ADVISORY  WRITE 1234 08:01:5678 0 EOF"
    const line = locks.split('\n').find((candidate) => candidate.includes(`:${ino} `));
    const pid = Number(line?.trim().split(/\s+/)[4]);
    return Number.isInteger(pid) && pid > 0 ? pid : undefined;
  } catch {
    return undefined; // Only makes a message more helpful: the lock itself has already been refused.
  }
}
