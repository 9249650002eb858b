import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import { systemClock as clock } from '../../base/clock.ts'
import { checkLeaveOut, patternsOf, patternsOn, readLeaveOut } from './leave-out.ts'
import { parseRegistryValues, queryRegistry, type RegistryValue } from './registry.ts'

const signal = new AbortController().signal
const variables = new Map([['temp', 'C:\\Temp'], ['systemroot', 'C:\\Windows']])
const PROFILES = ['C:\\Users\\a', 'D:\\Users\\b']

const meant = (entry: string): readonly string[] | string => {
  const found = patternsOf(entry, variables, PROFILES)
  return 'why' in found ? found.why
    : found.patterns.map(({ path, recursive }) => `${path}${recursive ? ' +' : ''}`)
}

suite('an entry of what is left out', () => {
  test('is understood in each of its documented shapes', () => {
    for (const [entry, paths] of [
      ['\\Pagefile.sys', ['\\Pagefile.sys']],
      ['%TEMP%\\* /s', ['C:\\Temp\\* +']],
      ['%SystemRoot%\\csc\\* /S ', ['C:\\Windows\\csc\\* +']],
      ['$UserProfile$\\x\\*.ost', ['C:\\Users\\a\\x\\*.ost', 'D:\\Users\\b\\x\\*.ost']],
      ['$AllVolumes$\\TemporaryFiles\\*.* /s', ['\\TemporaryFiles\\*.* +']],
      ['\\System Volume Information\\*{3808876B-C176-4E48-B7AE-04046E6CC752} /s',
        ['\\System Volume Information\\*{3808876B-C176-4E48-B7AE-04046E6CC752} +']],
      ['d:/scratch/*.tmp', ['d:\\scratch\\*.tmp']],
    ] as const) assert.deepEqual(meant(entry), paths, entry)
  })

  test('is refused where it could mean more than it should', () => {
    for (const [entry, why] of [
      ['%NOBODY%\\*', /variable/], ['*.tmp /s', /absolute/], ['C:*.tmp', /absolute|no path/],
      ['\\\\server\\share\\*', /absolute/], ['C:\\* /s', /all of a volume/],
      ['\\*.* /s', /all of a volume/], ['C:\\*\\*', /all of a volume/],
      ['C:\\a\\..\\b', /elsewhere/],
      ['C:\\a\\', /no file/], ['C:\\a?.tmp', /no path/], ['C:\\a\\D:\\b', /no path/],
      ['', /absolute/],
      ['C:\\a\u0000', /no path/],
    ] as const) {
      assert.match(String(meant(entry)), why, entry)
    }
  })

  test('never means a path that is not absolute, goes upwards or names a volume', () => {
    const piece = fc.constantFrom('C:', '\\', '*', '..', '%temp%', '%x%', '$UserProfile$',
      '$AllVolumes$', ' /s', 'a', '*.tmp', '/', '\u0000', '?', '\\\\', '.', ' ')
    fc.assert(fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      const found = patternsOf(pieces.join(''), variables, PROFILES)
      for (const { path } of 'why' in found ? [] : found.patterns) {
        assert.match(path, /^(?:[A-Z]:)?\\[^\\]/i)
        const names = path.split('\\').slice(1).filter((name) => name !== '')
        assert.ok(!names.includes('..') && !path.includes('?') && !path.includes('\u0000'), path)
        assert.ok(names.some((name) => /[^*.]/.test(name)), path)
      }
    }))
  })

  test('may be a list, and nothing else that is no path', () => {
    for (const word of ['files-not-to-snapshot', 'files-not-to-backup', 'D:\\a\\* /s', '%X%\\a']) {
      assert.equal(checkLeaveOut(word), word)
    }
    for (const word of ['', 'temp', 'C:\\* /s']) assert.throws(() => checkLeaveOut(word), word)
  })

  test('counts for the volumes that it names, unless its writer took part', () => {
    const patterns = [
      { entry: 'a', path: 'C:\\x\\*.tmp', recursive: true },
      { entry: 'b', path: '\\y', recursive: false, value: 'SqlServerWriter' },
      { entry: 'c', path: 'D:\\data\\z', recursive: false }]
    const on = (mounts: readonly string[], ...writers: readonly string[]): readonly unknown[] =>
      patternsOn(mounts, patterns, writers).map(({ entry, folders, name }) =>
        [entry, ...folders, name])
    assert.deepEqual(on(['C:\\']), [['a', 'x', '*.tmp'], ['b', 'y']])
    assert.deepEqual(on(['D:\\data\\'], 'sqlserverwriter'), [['c', 'z']])
    assert.deepEqual(on([]), [['b', 'y']])
  })
})

suite('lists in the registry', () => {
  const print = (...lines: readonly string[]): Uint8Array =>
    Buffer.from(['', 'HKEY_LOCAL_MACHINE\\X', ...lines, ''].join('\r\n'), 'latin1')

  test('are read as reg.exe prints them', () => {
    assert.deepEqual(parseRegistryValues(print(
      '    Temporary Files    REG_MULTI_SZ    %TEMP%\\* /s', '    Empty    REG_MULTI_SZ',
      '    Flags    REG_DWORD    0x0', 'nonsense', '  x  REG_SZ  y'), '|')
      .map(({ key, name, type, text }) => [key, name, type, text]), [
      ['HKEY_LOCAL_MACHINE\\X', 'Temporary Files', 'REG_MULTI_SZ', '%TEMP%\\* /s'],
      ['HKEY_LOCAL_MACHINE\\X', 'Empty', 'REG_MULTI_SZ', ''],
      ['HKEY_LOCAL_MACHINE\\X', 'Flags', 'REG_DWORD', '0x0']])
    const many = Array.from({ length: 5001 }, (_, at) => `    ${at}    REG_SZ    x`)
    assert.throws(() => parseRegistryValues(print(...many), '|'), { code: 'platform-protocol' })
  })

  test('that are not there are empty', async () => {
    const reg = { program: process.execPath, args: ['-e', 'process.exit(1)', '--'] }
    assert.deepEqual(await queryRegistry(reg, 'HKLM\\X', false, clock, signal), [])
  })

  test('are patterns with what is not understood beside them', async () => {
    const value = (name: string, text: string, separator = '|'): RegistryValue =>
      ({ key: '', name, type: 'REG_MULTI_SZ', text, separator })
    const asked: string[] = []
    const { patterns, notUnderstood } = await readLeaveOut(
      ['files-not-to-snapshot', 'files-not-to-backup', 'D:\\mine\\*'], {
        environment: new Map([['TEMP', 'C:\\Temp']]),
        registry: async (key) => {
          asked.push(key)
          if (key.endsWith('ProfileList')) {
            return [{ key, name: 'ProfileImagePath', type: 'REG_EXPAND_SZ', separator: '|',
              text: 'C:\\Users\\a' }, value('Other', 'C:\\x')]
          }
          return key.endsWith('FilesNotToBackup')
            ? [value('Temporary Files', '%TEMP%\\* /s'),
              { ...value('Default', 'C:\\no'), type: 'REG_SZ' }]
            : [value('OutlookOST', '$UserProfile$\\*.ost|C:\\caf\u00e9\\*|C:\\lost?\\*'),
              value('Zero', 'C:\\0x\\a.tmp', '\\0'), value('Two', '\\a.tmp\\0C:\\b.tmp', '\\0')]
        } }, signal)
    assert.deepEqual(patterns.map(({ path, value: name }) => [path, name]), [
      ['C:\\Users\\a\\*.ost', undefined], ['C:\\0x\\a.tmp', undefined], ['\\a.tmp', undefined],
      ['C:\\b.tmp', undefined], ['C:\\Temp\\*', 'Temporary Files'], ['D:\\mine\\*', undefined]])
    assert.deepEqual(notUnderstood.map(({ why }) => why),
      ['letters of it may be lost', 'letters of it may be lost'])
    assert.equal(asked.filter((key) => key.endsWith('ProfileList')).length, 1)
  })
})
