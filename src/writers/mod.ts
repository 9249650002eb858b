export { mariadbWriter, type MariadbLimits, type MariadbOptions } from './mariadb/writer.ts'
export { postgresWriter, type PostgresLimits, type PostgresOptions } from './postgres/writer.ts'
export { writerSet, type ApplicationFinder, type WriterSetParts } from './writer-set.ts'
