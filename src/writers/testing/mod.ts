export { PostgresServer } from './postgres-server.ts'
export { accountOf, ServerFolder } from './server-folder.ts'
