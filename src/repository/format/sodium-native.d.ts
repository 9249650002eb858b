/** The part of sodium-native that this room calls; the package ships no types. */
declare module 'sodium-native' {
  const sodium: {
    /** Writes the 16-byte Poly1305 tag of `input` under the 32-byte one-time `key` to `out`. */
    crypto_onetimeauth(out: Uint8Array, input: Uint8Array, key: Uint8Array): void
    /** Compares in constant time. */
    crypto_onetimeauth_verify(tag: Uint8Array, input: Uint8Array, key: Uint8Array): boolean
  }
  export default sodium
}
