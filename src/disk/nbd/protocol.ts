/**
 * The constants of the NBD protocol, named as in its document
 * (github.com/NetworkBlockDevice/nbd, doc/proto.md, sections "Values" and "Protocol phases").
 */

// Handshake.
export const NBD_MAGIC = 0x4e42444d41474943n // "NBDMAGIC"
export const IHAVEOPT = 0x49484156454f5054n // "IHAVEOPT"
export const NBD_REP_MAGIC = 0x3e889045565a9n

export const NBD_FLAG_FIXED_NEWSTYLE = 1 << 0
export const NBD_FLAG_NO_ZEROES = 1 << 1

export const NBD_OPT_GO = 7
export const NBD_OPT_STRUCTURED_REPLY = 8
export const NBD_OPT_SET_META_CONTEXT = 10

export const NBD_REP_ACK = 1
export const NBD_REP_INFO = 3
export const NBD_REP_META_CONTEXT = 4
export const NBD_REP_FLAG_ERROR = 2 ** 31
export const NBD_REP_ERR_UNSUP = NBD_REP_FLAG_ERROR + 1

/** What a server means by refusing an option; the reply's own text is shown beside it. */
export const NBD_REP_ERRORS: ReadonlyMap<number, string> = new Map([
  [NBD_REP_ERR_UNSUP, 'NBD_REP_ERR_UNSUP'],
  [NBD_REP_FLAG_ERROR + 2, 'NBD_REP_ERR_POLICY'],
  [NBD_REP_FLAG_ERROR + 3, 'NBD_REP_ERR_INVALID'],
  [NBD_REP_FLAG_ERROR + 4, 'NBD_REP_ERR_PLATFORM'],
  [NBD_REP_FLAG_ERROR + 5, 'NBD_REP_ERR_TLS_REQD'],
  [NBD_REP_FLAG_ERROR + 6, 'NBD_REP_ERR_UNKNOWN'],
  [NBD_REP_FLAG_ERROR + 7, 'NBD_REP_ERR_SHUTDOWN'],
  [NBD_REP_FLAG_ERROR + 8, 'NBD_REP_ERR_BLOCK_SIZE_REQD'],
  [NBD_REP_FLAG_ERROR + 9, 'NBD_REP_ERR_TOO_BIG'],
])

export const NBD_INFO_EXPORT = 0
export const NBD_INFO_BLOCK_SIZE = 3

// Transmission flags.
export const NBD_FLAG_HAS_FLAGS = 1 << 0
export const NBD_FLAG_READ_ONLY = 1 << 1
export const NBD_FLAG_SEND_FLUSH = 1 << 2
export const NBD_FLAG_CAN_MULTI_CONN = 1 << 8

// Transmission.
export const NBD_REQUEST_MAGIC = 0x25609513
export const NBD_SIMPLE_REPLY_MAGIC = 0x67446698
export const NBD_STRUCTURED_REPLY_MAGIC = 0x668e33ef

export const NBD_CMD_READ = 0
export const NBD_CMD_WRITE = 1
export const NBD_CMD_DISC = 2
export const NBD_CMD_FLUSH = 3
export const NBD_CMD_BLOCK_STATUS = 7

export const NBD_REPLY_FLAG_DONE = 1 << 0

export const NBD_REPLY_TYPE_NONE = 0
export const NBD_REPLY_TYPE_OFFSET_DATA = 1
export const NBD_REPLY_TYPE_OFFSET_HOLE = 2
export const NBD_REPLY_TYPE_BLOCK_STATUS = 5
export const NBD_REPLY_TYPE_ERROR = 2 ** 15 + 1
export const NBD_REPLY_TYPE_ERROR_OFFSET = 2 ** 15 + 2

// Metadata contexts. The dirty bitmap's is QEMU's (docs/interop/nbd.txt of QEMU).
export const BASE_ALLOCATION = 'base:allocation'
export const NBD_STATE_ZERO = 1 << 1
export const NBD_STATE_DIRTY = 1 << 0

// Limits that the document states.
/** "Conventions": no string is longer. */
export const NBD_MAX_STRING = 4096
/** "Size constraints": every server takes requests up to this if it does not say otherwise. */
export const NBD_DEFAULT_MAX_PAYLOAD = 2 ** 25
/** "Size constraints": the largest minimum block size. */
export const NBD_MAX_MINIMUM_BLOCK = 2 ** 16
/** NBD_REPLY_TYPE_BLOCK_STATUS: a server should not send more descriptors in one chunk. */
export const NBD_MAX_DESCRIPTORS = 2 ** 20

export const NBD_ENOSPC = 28
export const NBD_ESHUTDOWN = 108

const ERRORS: ReadonlyMap<number, string> = new Map([
  [1, 'NBD_EPERM'], [5, 'NBD_EIO'], [12, 'NBD_ENOMEM'], [22, 'NBD_EINVAL'],
  [NBD_ENOSPC, 'NBD_ENOSPC'], [75, 'NBD_EOVERFLOW'], [95, 'NBD_ENOTSUP'],
  [NBD_ESHUTDOWN, 'NBD_ESHUTDOWN'],
])

/** The name of an error value, e.g. `NBD_EIO`. */
export function nbdErrorName(value: number): string {
  return ERRORS.get(value) ?? `error ${value}`
}
