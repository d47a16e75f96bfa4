import type { FastifyInstance } from 'fastify';
import type { AddressInfo } from 'node:net';
import { formatBindAddress, type BindAddress } from '../config/index.ts';
import { removeStaleSocket, type Daemon } from '../daemon/index.ts';
import { GalleonError, toGalleonError } from '../errors/index.ts';
import type { Log } from '../lib/index.ts';
import { addControlRoutes } from './control-routes.ts';
import { createServer } from './create-server.ts';
import { addPublicRoutes } from './public-routes.ts';

export interface Listeners {
  /** `host:port` as bound. */
  readonly address: string;
  /** Finishes the requests under way and removes the socket. Idempotent. */
  close(): Promise<void>;
}

/**
 * Opens the daemon's two doors: health and metrics on TCP, the control API on its unix socket (mode 0600).
 * The daemon must hold its storage path. @throws GalleonError ADDRESS_IN_USE, CONFIG_INVALID, SYSTEM_PERMISSION
 */
export async function listen(daemon: Daemon, log: Log): Promise<Listeners> {
  const open = createServer(log);
  const control = createServer(log);
  let address: string | null = null;
  await addPublicRoutes(open, daemon);
  addControlRoutes(control, daemon, () => address);
  const close = async (): Promise<void> => {
    await Promise.all([open.close(), control.close()]);
  };
  try {
    address = await listenOnTcp(open, daemon.configuration.bindAddress);
    await removeStaleSocket(daemon.paths);
    await listenOnSocket(control, daemon.paths.controlSocket);
  } catch (error) {
    await close();
    throw error;
  }
  log.info({ address, controlSocket: daemon.paths.controlSocket }, `health and metrics on http://${address}`);
  return { address, close };
}

async function listenOnTcp(app: FastifyInstance, wanted: BindAddress): Promise<string> {
  const text = formatBindAddress(wanted);
  try {
    await app.listen({ ...wanted, ipv6Only: false });
  } catch (error) {
    throw explainTcp(error, text);
  }
  const { address, port } = app.server.address() as AddressInfo;
  return formatBindAddress({ host: address, port });
}

function explainTcp(error: unknown, text: string): GalleonError {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'EADDRINUSE') {
    const message = `the address ${text} is in use by another program: stop that, or give another --bind-address`;
    return new GalleonError('ADDRESS_IN_USE', message, { cause: error, details: { address: text } });
  }
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND' || code === 'EAI_AGAIN') {
    const message = `the address ${text} is none of this machine's: give another --bind-address`;
    return new GalleonError('CONFIG_INVALID', message, { cause: error, details: { address: text } });
  }
  return toGalleonError(error, `cannot listen on ${text}`);
}

async function listenOnSocket(app: FastifyInstance, path: string): Promise<void> {
  const before = process.umask(0o177);
  try {
    await app.listen({ path });
  } catch (error) {
    throw toGalleonError(error, `cannot listen on ${path}`);
  } finally {
    process.umask(before);
  }
}
