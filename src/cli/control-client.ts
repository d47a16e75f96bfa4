import { Agent, request } from 'undici';
import { controlSocketPath } from '../daemon/index.ts';
import { GalleonError, isErrorCode, toGalleonError } from '../errors/index.ts';

/** Everything else in a problem is a detail of the error. */
const PROBLEM_MEMBERS = new Set(['type', 'title', 'status', 'detail', 'code', 'retryable']);

type Method = 'GET' | 'POST' | 'DELETE';

/** Talks to the daemon over its unix socket. */
export class ControlClient {
  readonly #storagePath: string;
  readonly #agent: Agent;

  constructor(storagePath: string) {
    this.#storagePath = storagePath;
    // No time limits: deleting a large volume takes as long as it takes.
    const connect = { socketPath: controlSocketPath(storagePath) };
    this.#agent = new Agent({ connect, headersTimeout: 0, bodyTimeout: 0 });
  }

  async get<Answer>(path: string): Promise<Answer> {
    return (await this.#request('GET', path)) as Answer;
  }

  async post<Answer>(path: string, body: object = {}): Promise<Answer> {
    return (await this.#request('POST', path, body)) as Answer;
  }

  async delete(path: string): Promise<void> {
    await this.#request('DELETE', path);
  }

  async close(): Promise<void> {
    await this.#agent.close();
  }

  /** @throws GalleonError DAEMON_UNREACHABLE, SYSTEM_PERMISSION, or the one the daemon answers with */
  async #request(method: Method, path: string, body?: object): Promise<unknown> {
    let status: number;
    let text: string;
    try {
      const answer = await request(`http://galleonfs/api/v1${path}`, {
        method,
        dispatcher: this.#agent,
        ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
      });
      status = answer.statusCode;
      text = await answer.body.text();
    } catch (error) {
      throw this.#unreachable(error);
    }
    if (status >= 400) throw fromProblem(status, text);
    return text === '' ? undefined : JSON.parse(text);
  }

  #unreachable(error: unknown): GalleonError {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    const socket = controlSocketPath(this.#storagePath);
    if (code === 'EACCES' || code === 'EPERM') {
      const message = `the daemon's socket ${socket} belongs to another user: run this as the user who started the daemon`;
      return new GalleonError('SYSTEM_PERMISSION', message, { cause: error });
    }
    if (code === 'ENOENT' || code === 'ECONNREFUSED' || code === 'ENOTDIR') {
      const message = `no daemon answers on ${socket}: start one with "galleonfs --storage-path ${this.#storagePath}", or say where it is with --storage-path`;
      return new GalleonError('DAEMON_UNREACHABLE', message, { cause: error });
    }
    const reason = toGalleonError(error).message;
    return new GalleonError('DAEMON_UNREACHABLE', `the daemon on ${socket} broke off: ${reason}`, { cause: error });
  }
}

function fromProblem(status: number, text: string): GalleonError {
  const problem = parse(text);
  const { code, detail } = problem;
  if (!isErrorCode(code)) return new GalleonError('INTERNAL', `the daemon answered with HTTP ${status}: ${text}`);
  const extensions = Object.entries(problem).filter(
    (entry): entry is [string, string | number | boolean] =>
      !PROBLEM_MEMBERS.has(entry[0]) && ['string', 'number', 'boolean'].includes(typeof entry[1]),
  );
  return new GalleonError(code, String(detail), { details: Object.fromEntries(extensions) });
}

function parse(text: string): Readonly<Record<string, unknown>> {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return {};
  }
}
