export { reopen } from './reopen.ts'
