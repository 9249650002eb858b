/**
 * Our stub of SQL Server as `tedious` sees it, a client of others: what the writer is tested
 * against is at least what another reading of the protocol takes for a server.
 */

import { strict as assert } from 'node:assert'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { test } from 'node:test'
import { STUB_LOGIN, StubSqlServer } from '../../src/writers/testing/stub-sql-server.ts'

const FOLDER = fileURLToPath(new URL('../../.cache/peers/tedious/', import.meta.url))

interface Column {
  readonly metadata: { readonly colName: string }
  readonly value: unknown
}

/** What is used of the library. */
interface Tedious {
  readonly Connection: new (config: object) => {
    connect(done: (error: unknown) => void): void
    execSqlBatch(request: object): void
    close(): void
  }
  readonly Request: new (sql: string, done: (error: unknown) => void) => {
    on(event: 'row', take: (columns: readonly Column[]) => void): void
  }
}

test('a client of others takes the stub of SQL Server for one', async (t) => {
  if (!existsSync(FOLDER)) return t.skip('tedious is missing')
  const { Connection, Request } = createRequire(FOLDER)('tedious') as Tedious
  await using stub = await StubSqlServer.start()
  stub.override = (sql) => /^set /i.test(sql) ? { rows: [] } : undefined
  const connection = new Connection({
    server: 'localhost',
    authentication: { type: 'default',
      options: { userName: STUB_LOGIN.user, password: STUB_LOGIN.password } },
    options: { port: stub.port, encrypt: true, trustServerCertificate: true, appName: 'a peer' },
  })
  await new Promise<void>((resolve, reject) => {
    connection.connect((error) => error instanceof Error ? reject(error) : resolve())
  })
  const ask = (sql: string): Promise<unknown> => new Promise((resolve, reject) => {
    const rows: unknown[] = []
    const request = new Request(sql, (error) =>
      error instanceof Error ? reject(error) : resolve(rows))
    request.on('row', (columns) => rows.push(Object.fromEntries(
      columns.map(({ metadata, value }) => [metadata.colName, value]))))
    connection.execSqlBatch(request)
  })
  try {
    assert.deepEqual([...stub.sessions.values()].map(({ program }) => program), ['a peer'])
    stub.override = (sql) => sql === 'nulls'
      ? { rows: [{ a: null, b: 'x' }, { a: 'ü', b: null }] } : undefined
    assert.deepEqual(await ask('select ProductVersion'), [{ version: '16.0.4165.4' }])
    assert.deepEqual(await ask('nulls'), [{ a: null, b: 'x' }, { a: 'ü', b: null }])
    await assert.rejects(ask('nonsense'), /Incorrect syntax near 'nonsense'/)
  } finally {
    connection.close()
  }
})
