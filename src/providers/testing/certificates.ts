/** Certificates for `localhost`, made by openssl for one test run. */

import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { X509Certificate } from 'node:crypto'
import { join } from 'node:path'

export interface ServerCertificate {
  /** PEM */
  readonly key: string
  /** PEM */
  readonly cert: string
  /** 64 lowercase digits. */
  readonly fingerprint: string
  /** The certificate alone, as a file. */
  readonly file: string
}

const CONFIG = `[ca]
default_ca=d
[d]
dir=.
database=index.txt
serial=serial
new_certs_dir=.
default_md=sha256
policy=p
x509_extensions=e
unique_subject=no
[p]
commonName=supplied
[e]
subjectAltName=DNS:localhost
basicConstraints=CA:TRUE
`

/** Self-signed for `localhost`, made in `folder`; one that is expired has been for years. */
export function serverCertificate(
  folder: string, kind: 'valid' | 'expired' = 'valid'): ServerCertificate {
  const openssl = (...args: readonly string[]): void => {
    execFileSync('openssl', args, { cwd: folder, stdio: 'ignore' })
  }
  writeFileSync(join(folder, 'index.txt'), '')
  writeFileSync(join(folder, 'serial'), '01')
  writeFileSync(join(folder, 'ca.cnf'), CONFIG)
  const [keyFile, file] = [`${kind}.key`, `${kind}.pem`]
  openssl('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes',
    '-subj', '/CN=localhost', '-keyout', keyFile, '-out', 'request.pem')
  openssl('ca', '-batch', '-config', 'ca.cnf', '-selfsign', '-keyfile', keyFile,
    '-in', 'request.pem', '-out', file, '-notext', '-startdate', '20200101000000Z',
    '-enddate', kind === 'valid' ? '21200101000000Z' : '20210101000000Z')
  const read = (name: string): string => readFileSync(join(folder, name), 'utf8')
  const cert = read(file)
  return {
    key: read(keyFile), cert, file: join(folder, file),
    fingerprint: new X509Certificate(cert).fingerprint256.replaceAll(':', '').toLowerCase(),
  }
}
