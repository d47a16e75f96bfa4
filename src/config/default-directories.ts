import { join } from 'node:path';

export interface DefaultDirectories {
  readonly storagePath: string;
  readonly mountPoint: string;
}

/** Those of the daemon that runs as a system service. */
export const SYSTEM_DIRECTORIES: DefaultDirectories = {
  storagePath: '/var/lib/galleonfs',
  mountPoint: '/mnt/galleonfs',
};

/** The system's directories for root, the XDG ones (below the home directory) for everybody else. */
export function defaultDirectories(
  uid: number,
  home: string,
  environment: Readonly<Record<string, string | undefined>>,
): DefaultDirectories {
  if (uid === 0) return SYSTEM_DIRECTORIES;
  const data = environment['XDG_DATA_HOME'] ?? join(home, '.local', 'share');
  return { storagePath: join(data, 'galleonfs'), mountPoint: join(home, 'galleonfs') };
}
