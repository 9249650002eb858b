import { test } from 'node:test'
import { damageDocuments } from './vss-documents.ts'

test('1,000 damaged documents of VSS are read or refused', (t) => damageDocuments(0, 1_000, t))
