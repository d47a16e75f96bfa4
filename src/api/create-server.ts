import { fastify, type FastifyInstance } from 'fastify';
import type { Log } from '../lib/index.ts';
import { replyWithProblems } from './reply-with-problems.ts';

const BODY_BYTES_MAX = 64 * 1024;

/** A server with what both listeners share: strict schemas, small bodies, problems as answers to errors. */
export function createServer(log: Log): FastifyInstance {
  const app = fastify({
    logger: false,
    bodyLimit: BODY_BYTES_MAX,
    requestTimeout: 30_000,
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    ajv: { customOptions: { removeAdditional: false, coerceTypes: false, useDefaults: false, allowUnionTypes: true } },
  });
  replyWithProblems(app, log);
  app.addHook('onResponse', (request, reply, done) => {
    const { method, url } = request;
    log.debug({ method, url, status: reply.statusCode, ms: Math.round(reply.elapsedTime) }, `${method} ${url}`);
    done();
  });
  return app;
}
