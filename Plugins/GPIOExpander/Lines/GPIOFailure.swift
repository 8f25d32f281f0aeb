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
    ///
    /// Not where it only does not answer (ENXIO, EREMOTEIO, EIO and whatever else a bus has): it drives its lines all the same.
    package var isGone: Bool { [ENODEV, ENOENT, ENOTTY].contains(number) }
    /// Whether somebody else has the line.
    package var isTaken: Bool { number == EBUSY }
    /// Whether it says that a chip cannot watch for edges: ENODEV in the kernel's first interface, ENXIO in its second
    /// (`lineevent_create` and `edge_detector_setup` of gpiolib-cdev.c). A chip that is gone says the same.
    package var mayLackInterrupt: Bool { [ENODEV, ENXIO].contains(number) }

    static func words(_ number: Int32) -> String {
        switch number {
        case ENODEV: "the chip is gone"
        case ENXIO: "the chip does not answer"
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
