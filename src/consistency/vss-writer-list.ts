/** What the VSS writers of a Windows host say of themselves, asked in a session of its own. */

export interface WriterList {
  /** The host's name, in lower case. */
  readonly host: string
  /** How they were asked: `koffi` (Windows' own interface) or `diskshadow`. */
  readonly transport: string
  /** Why it is not the interface; undefined where it is. */
  readonly because: string | undefined
  /** Those that answered. */
  readonly writers: readonly ListedWriter[]
}

export interface ListedWriter {
  /** GUIDs in lower case; the class is what stays when the service starts anew. */
  readonly writerId: string
  readonly instanceId: string
  /** Foreign text. */
  readonly name: string
  /** A part of Windows in which nobody keeps data. */
  readonly isOfWindows: boolean
  /** VSS_WRITER_STATE; null where it answered and has no status. */
  readonly state: number | null
  /** Its name in vss.h without VSS_WS_; `UNKNOWN` for a number without one. */
  readonly stateName: string
  /** The HRESULT of its last error, of whichever session; 0: none. */
  readonly failure: number
  /** `0x800423f4 WRITERERROR_NONRETRYABLE`. */
  readonly failureText: string
  /** It has a status, in which nothing has failed. */
  readonly isInOrder: boolean
  /** Undefined where they are not known: its document cannot be read, or comes only with a set. */
  readonly components: readonly ListedComponent[] | undefined
}

/** All texts are foreign. */
export interface ListedComponent {
  readonly type: 'database' | 'filegroup'
  /** Logical path and name: `HOST1\sales`. */
  readonly path: string
  readonly caption: string
  readonly isSelectable: boolean
  /** As the writer names them, `%SystemRoot%` and all. */
  readonly folders: readonly string[]
}
