import type { FastifyInstance } from 'fastify';
import { VERSION, type Daemon } from '../daemon/index.ts';
import { GalleonError } from '../errors/index.ts';
import { loadMetrics } from '../monitoring/index.ts';
import { sendProblem } from './reply-with-problems.ts';

/** What anybody who reaches the TCP address may see: whether the daemon is well, and its metrics. */
export async function addPublicRoutes(app: FastifyInstance, daemon: Daemon): Promise<void> {
  const { createMetrics } = await loadMetrics();
  const metrics = createMetrics(VERSION, () => daemon.readings());

  app.get('/healthz', async (_request, reply) => {
    const failed = daemon.readings().filter((reading) => reading.failed);
    const { phase } = daemon;
    const status = phase === 'running' ? (failed.length === 0 ? 'ok' : 'degraded') : phase;
    const failedVolumes = failed.map(({ name }) => name);
    return await reply.code(phase === 'running' ? 200 : 503).send({ status, version: VERSION, failedVolumes });
  });

  app.get('/metrics', async (_request, reply) => await reply.type(metrics.contentType).send(await metrics.metrics()));

  // Without users and passwords the control API stays on the socket, which only its owner can open.
  app.all('/api/*', (_request, reply) =>
    sendProblem(
      reply,
      new GalleonError(
        'OPERATION_NOT_PERMITTED',
        `the control API is served on the unix socket ${daemon.paths.controlSocket} only`,
      ),
    ),
  );
}
