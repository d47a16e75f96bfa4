import type { FastifyError, FastifyInstance, FastifyReply } from 'fastify';
import { GalleonError, toGalleonError, toProblem } from '../errors/index.ts';
import type { Log } from '../lib/index.ts';

/** Makes every error answer of the server `application/problem+json` (RFC 9457). */
export function replyWithProblems(app: FastifyInstance, log: Log): void {
  app.setErrorHandler<FastifyError>((error, request, reply) => {
    const failure = fromFastify(error) ?? toGalleonError(error);
    if (failure.kind === 'internal') log.error({ error, method: request.method, url: request.url }, 'a request failed');
    return sendProblem(reply, failure, error.statusCode);
  });
  app.setNotFoundHandler((request, reply) =>
    sendProblem(reply, new GalleonError('ROUTE_NOT_FOUND', `there is no ${request.method} ${request.url}`)),
  );
}

export function sendProblem(reply: FastifyReply, error: GalleonError, httpStatus?: number): FastifyReply {
  const problem = toProblem(error);
  const status = httpStatus ?? problem.status;
  return reply
    .code(status)
    .type('application/problem+json; charset=utf-8')
    .send(JSON.stringify({ ...problem, status }));
}

/** What fastify itself refuses: a body that is no JSON, too large, or does not fit the schema. */
function fromFastify(error: FastifyError): GalleonError | undefined {
  if (error instanceof GalleonError) return undefined;
  const { statusCode } = error;
  if (error.validation === undefined && (statusCode === undefined || statusCode >= 500)) return undefined;
  return new GalleonError('REQUEST_INVALID', error.message, { cause: error });
}
