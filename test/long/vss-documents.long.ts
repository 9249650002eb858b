/** Damaged documents of VSS: with those of `make test`, 10,000. */

import { test } from 'node:test'
import { damageDocuments } from '../hostile/vss-documents.ts'

test('9,000 damaged documents of VSS are read or refused', (t) =>
  damageDocuments(1_000, 10_000, t))
