import CGPIO
import Glibc

/// Why something with a chip or its lines did not work.
package struct GPIOFailure: Error, Sendable, Equatable, CustomStringConvertible {
    /// As the system numbers it.
    package let number: Int32
    /// One clause for people that names the thing.
    package let description: String

    package init(_ number: Int32, _ description: String) {
        self.number = number
        self.description = description
    }

    init(_ result: Int32, doing what: String) {
        self.init(-result, "\(what): \(Self.words(-result))")
    }

    /// Whether the chip is not there, or not any more.
    package var isGone: Bool { [ENODEV, ENOENT, ENXIO, ENOTTY].contains(number) }

    static func words(_ number: Int32) -> String {
        switch number {
        case ENODEV, ENXIO: "the chip is gone"
        case ENOTTY: "it is no GPIO chip"
        default: String(cString: strerror(number)).lowercased()
        }
    }
}

/// The text in a field of fixed size, up to its end.
func text<Field>(_ field: Field) -> String {
    withUnsafeBytes(of: field) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
}
