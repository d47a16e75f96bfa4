import { readdirSync } from 'node:fs';

/**
 * Functions for a bash script whose parameters are $1: where PostgreSQL's programs are, $2: a file system, $3: a port.
 * `make` makes and starts a server with checksums and a pgbench database; `finish` compares what pgbench keeps in step,
 * checks every table, index and page, and stops the server. The database is the directory `db` of the file system.
 */
export const POSTGRESQL_FUNCTIONS = `
export PATH="$1:$PATH"; db="$2/db"; port="$3"
as() { (cd / && runuser -u postgres -- "$@"); }
# The server must not hold our pipes open.
start() { as pg_ctl -D "$db" -o "-p $port -k $db -c listen_addresses=" -l "$db/log" -w start > /dev/null 2>&1 < /dev/null; }
sql() { as psql -h "$db" -p $port -Atc "$1" bench; }
make() {
  mkdir "$db"; chown postgres "$db"
  as initdb -D "$db" -k -A trust > /dev/null
  start
  as createdb -h "$db" -p $port bench
  as pgbench -h "$db" -p $port -i -s 10 -q bench > /dev/null 2>&1
}
finish() {
  test "$(sql 'select (select sum(abalance) from pgbench_accounts) = (select sum(delta) from pgbench_history)')" = t
  as pg_amcheck -h "$db" -p $port --install-missing --heapallindexed -a > /dev/null
  as pg_ctl -D "$db" -m fast -w stop > /dev/null
  as pg_checksums --check -D "$db" | grep -q 'Bad checksums: *0'
}
`;

export function postgresqlPrograms(): string {
  const root = '/usr/lib/postgresql';
  try {
    const newest = readdirSync(root)
      .sort((a, b) => Number(a) - Number(b))
      .at(-1);
    return `${root}/${newest ?? ''}/bin`;
  } catch {
    return `${root}/*/bin`;
  }
}
