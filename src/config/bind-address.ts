import { isIPv6 } from 'node:net';

/** Where the daemon listens on TCP. Port 0: the kernel picks a free one (the log and `status` show it). */
export interface BindAddress {
  readonly host: string;
  readonly port: number;
}

/**
 * Reads `127.0.0.1:8080`, `localhost:8080`, `[::1]:8080`, `:8080` (every interface).
 * @throws RangeError with a sentence for the user.
 */
export function parseBindAddress(text: string): BindAddress {
  const match = /^(?:\[(?<v6>[^\]]*)\]|(?<host>[^:[\]\s]*)):(?<port>\d{1,5})$/.exec(text);
  const groups = match?.groups;
  const port = Number(groups?.['port']);
  const v6 = groups?.['v6'];
  if (groups === undefined || port > 65535 || (v6 !== undefined && !isIPv6(v6))) {
    throw new RangeError(`"${text}" is not an address: give host:port, such as 127.0.0.1:8080 or [::1]:8080`);
  }
  return { host: v6 ?? (groups['host'] === '' ? '::' : (groups['host'] ?? '::')), port };
}

export function formatBindAddress({ host, port }: BindAddress): string {
  return isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`;
}
