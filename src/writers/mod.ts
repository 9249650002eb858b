export { postgresWriter, type PostgresLimits, type PostgresOptions } from './postgres/writer.ts'
