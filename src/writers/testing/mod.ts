export { MariadbServer } from './mariadb-server.ts'
export { PostgresServer } from './postgres-server.ts'
export { RedisServer } from './redis-server.ts'
export { accountOf, ServerFolder } from './server-folder.ts'
