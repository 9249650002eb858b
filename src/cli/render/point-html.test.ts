/** The page: all that the terminal shows, nothing foreign that is more than text. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sampleApplication } from '../../consistency/testing/mod.ts'
import { samplePoint } from '../testing/sample-point.ts'
import { escapeHtml, html } from './html.ts'
import { pointReport } from './point-report.ts'
import { renderPointPage } from './point-html.ts'

const MAKER = { nowMs: Date.parse('2026-08-02T10:00:00Z'), version: '0.1.0', hostname: 'backup1' }
/** What an agent could say to become part of the page. */
const HOSTILE = '<script>alert(1)</script><img src=x onerror="a()">\'"&\u202e\u0007'

test('the page says all that the terminal says', () => {
  const point = samplePoint()
  const page = renderPointPage({ point, verdict: undefined }, MAKER)
  for (const { title, lines } of pointReport({ point, verdict: undefined }, MAKER.nowMs).slice(1)) {
    assert.ok(page.replaceAll(/<\/?strong[^>]*>/g, '').includes(escapeHtml(title)), title)
    for (const line of lines) {
      if (line.kind === 'timeline') continue
      assert.ok(page.includes(escapeHtml(line.text)), line.text)
    }
  }
  assert.match(page, /<svg [\s\S]*held 70 ms[\s\S]*2 frozen in 20 ms[\s\S]*<\/svg>/)
  assert.ok(page.includes('&quot;takenAt&quot;: &quot;2026-08-01T10:00:01.040Z&quot;'))
})

test('it needs nothing else: no script, no link, nothing to be loaded', () => {
  const page = renderPointPage({ point: samplePoint(), verdict: undefined }, MAKER)
  assert.doesNotMatch(page, /<(script|link|img|iframe|object|form)|\son\w+=|url\(|@import|src=/i)
  assert.match(page, /default-src 'none'/)
})

test('what a guest says stays text', () => {
  const application = sampleApplication({ name: HOSTILE })
  const { writer } = application
  assert.ok(writer.contract === 'held' && writer.freeze.state === 'acknowledged')
  const page = renderPointPage({ verdict: undefined, point: samplePoint({ applications: {
    declaredNone: false, discovery: { state: 'done', by: HOSTILE, applications: [{
      ...application,
      writer: { ...writer, freeze: { ...writer.freeze, statement: HOSTILE } },
      data: { state: 'unknown', detail: HOSTILE } }] } } }) }, MAKER)
  assert.doesNotMatch(page, /<script|<img|onerror="/)
  // eslint-disable-next-line no-control-regex
  assert.doesNotMatch(page, /[\u0000-\u0009\u000b-\u001f\u202e]/)
})

test('values are escaped where they are put in, markup is not', () => {
  assert.equal(html`<p title="${'a"b'}">${1} ${[html`<b>${'<'}</b>`]}</p>`.markup,
    '<p title="a&quot;b">1 <b>&lt;</b></p>')
})
