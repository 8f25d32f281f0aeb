import Glibc

/// Why something over the air did not work.
package enum BLEFault: Error, Sendable, Equatable, CustomStringConvertible {
    /// There is no adapter, or it is off.
    case noAdapter(String)
    /// The right for it is missing.
    case notPermitted(String)
    /// No connection came about, or the one there was is gone.
    case lost(String)
    /// Nothing came in time.
    case late(String)
    /// What came is none of the protocol's.
    case nonsense(String)
    /// The device refuses, with a code of the attribute protocol.
    case refused(String, code: UInt8)

    package var description: String {
        switch self {
        case .noAdapter(let what), .notPermitted(let what), .lost(let what), .late(let what),
            .nonsense(let what):
            what
        case .refused(let what, let code): "\(what): refused with attribute error \(code)"
        }
    }

    /// Of a call that failed with `-errno`.
    init(_ result: Int32, _ what: String) {
        let words = String(cString: strerror(-result)).lowercased()
        switch -result {
        case EPERM, EACCES: self = .notPermitted("\(what): \(words)")
        // EHOSTUNREACH is what the kernel says where no adapter is up; EAFNOSUPPORT where it has no Bluetooth at all.
        case EHOSTUNREACH, EAFNOSUPPORT, ENODEV, ENETDOWN, ERFKILL:
            self = .noAdapter("\(what): no Bluetooth adapter is there, or it is off (\(words))")
        default: self = .lost("\(what): \(words)")
        }
    }
}
