/** Servers that keep data and that no writer holds, known by what runs. */

import type { DiscoveredApplication } from '../../consistency/mod.ts'

export interface ServerKind {
  readonly title: string
  /** Fits its `comm` of proc(5): at most 15 bytes of the name of its program. */
  readonly comm: RegExp
  /** Fits its arguments, where programs of one name are many things. */
  readonly args?: RegExp
  readonly recovery: DiscoveredApplication['recovery']
  /** How it can be held, or saved by itself. */
  readonly how: string
}

const java = (title: string, main: RegExp, how: string): ServerKind =>
  ({ title, comm: /^java$/, args: main, recovery: 'self', how })
const self = (title: string, comm: RegExp, how: string): ServerKind =>
  ({ title, comm, recovery: 'self', how })
const unknown = (title: string, comm: RegExp, how: string): ServerKind =>
  ({ title, comm, recovery: 'unknown', how })

export const SERVER_KINDS: readonly ServerKind[] = [
  self('MongoDB', /^mongod$/, 'db.fsyncLock() and db.fsyncUnlock()'),
  self('Oracle Database', /^ora_pmon_/, 'ALTER DATABASE BEGIN BACKUP and END BACKUP'),
  self('Db2', /^db2sysc$/, 'SET WRITE SUSPEND FOR DATABASE and SET WRITE RESUME'),
  self('SAP HANA', /^hdb(index|name)server$/, 'BACKUP DATA FOR FULL SYSTEM CREATE SNAPSHOT'),
  unknown('SAP ASE', /^dataserver$/, 'quiesce database … hold and release'),
  unknown('Informix', /^oninit$/, 'onmode -c block and onmode -c unblock'),
  unknown('SQL Anywhere', /^dbsrv\d+$/, 'a backup by dbbackup before, which this one takes'),
  self('Firebird', /^(firebird|fbserver|fb_inet_server)$/, 'nbackup -L and nbackup -N'),
  self('CockroachDB', /^cockroach$/, 'its own BACKUP'),
  self('ClickHouse', /^clickhouse(-serv.*)?$/, 'its own BACKUP, or ALTER TABLE … FREEZE'),
  self('InfluxDB', /^influxd3?$/, 'its own influx backup'),
  self('Prometheus', /^prometheus$/, 'POST /api/v1/admin/tsdb/snapshot'),
  self('VictoriaMetrics', /^victoria-metric/, 'its own /snapshot/create'),
  self('etcd', /^etcd$/, 'etcdctl snapshot save before, which this one takes'),
  self('OpenLDAP', /^slapd$/, 'slapcat before, which this one takes'),
  self('389 Directory Server', /^ns-slapd$/, 'db2bak before, which this one takes'),
  self('ScyllaDB', /^scylla$/, 'nodetool snapshot'),
  unknown('ArangoDB', /^arangod$/, 'its own hot backup or arangodump'),
  unknown('Tarantool', /^tarantool$/, 'box.backup.start() and box.backup.stop()'),
  unknown('FoundationDB', /^fdbserver$/, 'fdbbackup'),
  unknown('MinIO', /^minio$/, 'mc mirror to elsewhere'),
  unknown('Meilisearch', /^meilisearch$/, 'its own snapshots'),
  unknown('Qdrant', /^qdrant$/, 'its own snapshots'),
  java('Elasticsearch', /org\.elasticsearch\.(bootstrap|server)/, 'its own snapshots'),
  java('OpenSearch', /org\.opensearch\.bootstrap/, 'its own snapshots'),
  java('Cassandra', /org\.apache\.cassandra/, 'nodetool snapshot'),
  java('Kafka', /kafka\.Kafka/, 'replicas on other machines'),
  java('ZooKeeper', /org\.apache\.zookeeper/, 'its own snapshots'),
  java('Neo4j', /org\.neo4j/, 'neo4j-admin database backup'),
  java('Solr', /-Dsolr\./, 'its own backups'),
  java('H2 or HSQLDB server', /org\.h2\.tools|org\.hsqldb/, 'its own BACKUP'),
  { ...unknown('CouchDB', /^beam/, 'replication to elsewhere'), args: /couchdb/ },
  { ...unknown('RabbitMQ', /^beam/, 'a stop of the node for the backup'), args: /rabbit/ },
]
