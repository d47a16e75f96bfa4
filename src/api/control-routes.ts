import type { FastifyInstance } from 'fastify';
import type { Daemon, MountRequest } from '../daemon/index.ts';
import {
  CREATE_VOLUME_SCHEMA,
  DELETE_QUERY_SCHEMA,
  MOUNT_SCHEMA,
  SCRUB_SCHEMA,
  UNMOUNT_SCHEMA,
  type CreateVolumeBody,
  type DeleteQuery,
  type MountBody,
  type ScrubBody,
  type UnmountBody,
} from './request-bodies.ts';

interface ById {
  readonly Params: { readonly id: string };
}

interface ByName {
  readonly Params: { readonly name: string };
}

/** Everything the command line can ask for, under /api/v1. */
export function addControlRoutes(app: FastifyInstance, daemon: Daemon, boundAddress: () => string | null): void {
  // Waits for the start, so that a script that got an answer can use the volumes; /healthz tells about a start under way.
  app.get('/api/v1/status', async () => {
    await daemon.started;
    return daemon.status(boundAddress());
  });

  app.post('/api/v1/stop', async (_request, reply) => {
    reply.raw.once('finish', () => daemon.askToStop());
    return await reply.code(202).send({ pid: process.pid });
  });

  app.post('/api/v1/restart', async (_request, reply) => {
    await daemon.started;
    daemon.askToRestart();
    return await reply.code(202).send({ pid: process.pid });
  });

  app.get('/api/v1/classes', () => daemon.storageClasses());

  app.get('/api/v1/volumes', async () => {
    await daemon.started;
    return daemon.listVolumes();
  });

  app.post<{ Body: CreateVolumeBody }>(
    '/api/v1/volumes',
    { schema: { body: CREATE_VOLUME_SCHEMA } },
    async (request, reply) => {
      const { mount, ...order } = request.body;
      const created = await daemon.createVolume({ ...order, mount: toMountRequest(mount) });
      return await reply.code(201).header('location', `/api/v1/volumes/${created.name}`).send(created);
    },
  );

  app.get<ByName>('/api/v1/volumes/:name', async ({ params }) => {
    await daemon.started;
    return daemon.showVolume(params.name);
  });

  app.delete<ByName & { Querystring: DeleteQuery }>(
    '/api/v1/volumes/:name',
    { schema: { querystring: DELETE_QUERY_SCHEMA } },
    async ({ params, query }, reply) => {
      await daemon.deleteVolume(params.name, { force: query.force === 'true' });
      return await reply.code(204).send();
    },
  );

  app.get<ByName>('/api/v1/volumes/:name/damage', async ({ params }) => {
    await daemon.started;
    return daemon.showDamage(params.name);
  });

  app.post<ByName & { Body: MountBody }>(
    '/api/v1/volumes/:name/mount',
    { schema: { body: MOUNT_SCHEMA } },
    async ({ params, body }) => daemon.mountVolume(params.name, { path: body.path, preferences: body.options }),
  );

  app.post<{ Body: ScrubBody }>('/api/v1/scrubs', { schema: { body: SCRUB_SCHEMA } }, async ({ body }, reply) => {
    const { volume, rateBytesPerSecond } = body;
    return await reply.code(202).send(await daemon.startScrub(volume, { rateBytesPerSecond }));
  });

  app.get('/api/v1/jobs', async () => {
    await daemon.started;
    return daemon.listJobs();
  });

  app.get<ById>('/api/v1/jobs/:id', async ({ params }) => {
    await daemon.started;
    return daemon.showJob(params.id);
  });

  app.post<ById>('/api/v1/jobs/:id/cancel', async ({ params }) => daemon.cancelJob(params.id));

  app.post<{ Body: UnmountBody }>('/api/v1/unmount', { schema: { body: UNMOUNT_SCHEMA } }, async ({ body }) =>
    daemon.unmountVolume(body.target, { lazy: body.lazy ?? false }),
  );
}

function toMountRequest(body: MountBody | null | undefined): MountRequest | null | undefined {
  if (body === null || body === undefined) return body;
  return { path: body.path, preferences: body.options };
}
