import { mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Makes durable which names the directory has. */
export async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Makes a directory, mode 0700, and those above it that are missing; their names are durable when it returns. */
export async function makeDirectory(path: string): Promise<void> {
  const first = await mkdir(path, { recursive: true, mode: 0o700 });
  if (first === undefined) return;
  for (let parent = dirname(path); ; parent = dirname(parent)) {
    await syncDirectory(parent);
    if (parent === dirname(first)) return;
  }
}
