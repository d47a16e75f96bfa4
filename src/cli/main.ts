import { CommanderError } from 'commander';
import { exitCodes, toExitCode, toGalleonError, toProblem } from '../errors/index.ts';
import { createProgram } from './create-program.ts';

/** Runs a command line and returns the exit code. Errors go to stderr; with --json as one problem object. */
async function main(args: readonly string[]): Promise<number> {
  try {
    await createProgram().parseAsync(args, { from: 'user' });
    return Number(process.exitCode ?? 0);
  } catch (error) {
    // commander has said what is wrong; help and version are no errors.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : exitCodes.invalid_argument;
    const failure = toGalleonError(error);
    const json = args.includes('--json');
    process.stderr.write(
      json ? `${JSON.stringify(toProblem(failure))}\n` : `galleonfs: ${failure.message} (${failure.code})\n`,
    );
    if (failure.kind === 'internal' && error instanceof Error && !json) process.stderr.write(`${error.stack ?? ''}\n`);
    return toExitCode(failure);
  }
}

/** What was written to a pipe is still on its way when main() returns; process.exit() would cut it. */
async function drained(stream: NodeJS.WriteStream): Promise<void> {
  await new Promise<void>((resolve) => {
    stream.write('', () => {
      resolve();
    });
  });
}

const exitCode = await main(process.argv.slice(2));
await Promise.all([drained(process.stdout), drained(process.stderr)]);
process.exit(exitCode);
