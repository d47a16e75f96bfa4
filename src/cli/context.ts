import type { Command } from 'commander';
import { loadConfiguration, SETTINGS, type Configuration } from '../config/index.ts';
import type { ControlClient } from './control-client.ts';

/** What every subcommand needs: the settings, the daemon's client, and where the answer goes. */
export class Context {
  readonly configuration: Configuration;
  readonly json: boolean;

  private constructor(configuration: Configuration, json: boolean) {
    this.configuration = configuration;
    this.json = json;
  }

  /** @throws GalleonError CONFIG_INVALID */
  static of(command: Command): Context {
    const options = command.optsWithGlobals<Record<string, unknown>>();
    return new Context(configurationFrom(options), options['json'] === true);
  }

  /** Runs `use` with a connection to the daemon. @throws GalleonError DAEMON_UNREACHABLE, or what the daemon answers */
  async withDaemon<Result>(use: (client: ControlClient) => Promise<Result>): Promise<Result> {
    // Loaded when it is needed: a daemon starts faster without.
    const control = await import('./control-client.ts');
    const client = new control.ControlClient(this.configuration.storagePath);
    try {
      return await use(client);
    } finally {
      await client.close();
    }
  }

  /** With --json the value and nothing else; for people what `say` makes of it. */
  print(value: unknown, say: () => string): void {
    process.stdout.write(`${this.json ? JSON.stringify(value, undefined, 2) : say()}\n`);
  }
}

/** @throws GalleonError CONFIG_INVALID */
export function configurationFrom(options: Readonly<Record<string, unknown>>): Configuration {
  const flags = {
    ...Object.fromEntries(Object.entries(SETTINGS).map(([name, { key }]) => [name, options[key]])),
    // commander knows --no-x as x being false.
    noSupervisor: options['supervisor'] === false ? true : undefined,
  };
  const file = options['config'];
  return loadConfiguration({ flags, file: typeof file === 'string' ? file : undefined, environment: process.env });
}
