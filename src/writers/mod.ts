export { mariadbWriter, type MariadbLimits, type MariadbOptions } from './mariadb/writer.ts'
export { postgresWriter, type PostgresLimits, type PostgresOptions } from './postgres/writer.ts'
