import { spawn } from 'node:child_process';
import { once } from 'node:events';

/** Does something while another process holds a file open. */
export async function whileHeldOpen<Result>(path: string, action: () => Promise<Result>): Promise<Result> {
  const child = spawn('bash', ['-c', 'exec 3< "$1" && echo open && exec sleep 600', 'bash', path], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'exit');
  try {
    await once(child.stdout, 'data');
    return await action();
  } finally {
    child.kill('SIGKILL');
    await ended;
  }
}
