import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { useDaemon } from './support/daemon-fixture.ts';
import { filesystemTools, LoopFilesystem } from './support/loop-filesystem.ts';
import { needs, needsPatience } from './support/needs.ts';
import { POSTGRESQL_FUNCTIONS, postgresqlPrograms } from './support/postgresql.ts';
import { bash } from './support/shell.ts';

const POSTGRES_PORT = 5601;

describe('databases on a file system looped over a volume', { timeout: 900_000 }, () => {
  const fixture = useDaemon();

  test('SQLite with full synchronisation passes its integrity check after a restart of the daemon', async (t) => {
    if (!needs(t, ...filesystemTools.ext4, 'sqlite3')) return;
    const data = await fixture.volume('512MiB');
    await using filesystem = await LoopFilesystem.make('ext4', data, fixture.scratch.at('sqlite'));
    const fillIt = `sqlite3 "$1/t.db" "pragma journal_mode=wal; pragma synchronous=full;
      create table t(i integer primary key, v blob);
      with recursive n(x) as (select 1 union all select x+1 from n where x<20000) insert into t select x, randomblob(500) from n;
      delete from t where i % 3 = 0; pragma wal_checkpoint(truncate);"`;
    await bash(fillIt, filesystem.path);
    await filesystem.detach();
    await fixture.daemon.stop();
    await fixture.daemon.restart();
    await filesystem.attach(data);
    const checked = await bash('sqlite3 "$1/t.db" "pragma integrity_check; select count(*) from t"', filesystem.path);
    assert.equal(checked, 'ok\n13334\n');
  });

  test('PostgreSQL recovers from kill -9 of all its processes in the middle of pgbench', async (t) => {
    if (!needsPatience(t)) return;
    const programs = postgresqlPrograms();
    if (!needs(t, ...filesystemTools.ext4, programs)) return;
    const data = await fixture.volume('4GiB');
    await using filesystem = await LoopFilesystem.make('ext4', data, fixture.scratch.at('postgresql'));
    await bash('chmod 755 "$1"', fixture.scratch.path);
    const said = await bash(POSTGRESQL, programs, filesystem.path, POSTGRES_PORT);
    for (const line of said.matchAll(/^tps.*$/gm)) t.diagnostic(line[0]);
    await filesystem.unmount();
    await filesystem.check();
  });
});

const POSTGRESQL = `${POSTGRESQL_FUNCTIONS}
trap 'as pg_ctl -D "$db" -m immediate stop > /dev/null 2>&1 || true' EXIT
make
as pgbench -h "$db" -p $port -n -c 4 -j 2 -T 15 bench
as pgbench -h "$db" -p $port -n -c 4 -j 2 -T 60 bench > /dev/null 2>&1 &
sleep 5
postmaster=$(head -n 1 "$db/postmaster.pid")
kill -9 "$postmaster" $(pgrep -P "$postmaster") || true
wait || true
while pgrep -F "$db/postmaster.pid" > /dev/null 2>&1; do sleep 0.1; done
start
finish
`;
