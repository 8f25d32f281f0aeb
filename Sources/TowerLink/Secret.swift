import Crypto
import FoundationEssentials

/// Bytes that nobody is to see: they print as nothing, and are compared in a time that does not tell where they differ.
package struct Secret: Sendable, Equatable, CustomStringConvertible, CustomDebugStringConvertible,
    CustomReflectable
{
    let key: SymmetricKey

    package init(_ bytes: some Sequence<UInt8>) { key = SymmetricKey(data: Array(bytes)) }

    package var byteCount: Int { key.bitCount / 8 }

    /// For where it has to be written or sent; never for a log.
    package var revealed: [UInt8] { key.withUnsafeBytes { Array($0) } }

    package var description: String { "(secret)" }
    package var debugDescription: String { "(secret)" }
    package var customMirror: Mirror { Mirror(self, children: []) }
}
