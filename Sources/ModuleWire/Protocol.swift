/// What core and modules say to each other: JSON-RPC 2.0, one message a line.
///
/// `docs/module-protocol.md` describes the same for authors in other languages. This room holds names, limits and the
/// forms of the messages; it knows no process and no clock.
package enum ModuleProtocol {
    /// Another major number means that the two do not understand each other.
    package static let major = 1
    /// Grows with every addition; the smaller of the two sides' counts.
    package static let minor = 0
    /// Longest line in bytes, either way. A `doors` reply of 1,000 lockers takes about 50 KB.
    package static let lineLimit = 256 * 1024
    /// Largest duration in any message, in milliseconds: a day. Beyond it somebody made a mistake of units.
    package static let longestMilliseconds: Double = 86_400_000
    /// A hundred years.
    package static let longestUptimeMilliseconds: Double = 3_155_760_000_000
}

/// Methods the core calls in a module.
package enum ModuleMethod: String, Sendable, CaseIterable {
    case hello, configure, start, open, doors, stop, cancel, ping
    /// Of controllers that say which actions they have.
    case act
    /// Uplinks only.
    case deliver
}

/// Notifications a module sends without being asked.
package enum ModuleNotification: String, Sendable, CaseIterable {
    /// Readings nobody asked for.
    case doors
    /// A log line.
    case log
}
