import Glibc
package import LockerKit

/// The handle of a line or an endpoint, with calls that block up to the limit they are given: they belong on a `DeviceQueue`.
package protocol BusPort: ~Copyable, SendableMetatype {
    /// Whether anything in an answer tells which request it belongs to, apart from the connection it comes on. Without that a
    /// new connection to the same line is left alone as long as an answer may take.
    static var isNumbered: Bool { get }

    /// Gets ready; touches neither network nor port.
    init(_ transport: LinkSettings.Transport) throws(PortFailure)
    /// Chooses the address that ``open(within:deliveringFor:)`` connects to; the port must be closed.
    mutating func turn(to address: String, _ service: Int) throws(PortFailure)
    /// - Parameter patience: over TCP, how long the kernel may go on trying to deliver a request.
    mutating func open(within limit: Duration, deliveringFor patience: Duration) throws(PortFailure)
    /// Ends the connection at once; an order on it that was not delivered never will be.
    mutating func close()
    /// Whether the connection can take a request: nobody has hung up, and no byte waits that would be taken for its answer.
    ///
    /// A serial line is emptied instead: noise on it is no reason to open it anew.
    func isQuiet() -> Bool
    /// Whether bytes have come that nobody has read, on a connection that is up.
    func hasBytes() -> Bool
    /// Throws away what has come.
    func flush()
    /// Hands the direction of an RS-485 line to the kernel; false where the port does not offer that.
    func useKernelDirection() -> Bool
    /// What a failure means for a request that was given `limit`.
    static func fault(of failure: PortFailure, within limit: Duration) -> Fault
}

/// What a call on a port left in `errno`, and at which step.
package struct PortFailure: Error, Equatable {
    package enum Step: Sendable { case resolve, open, send, receive }

    package let step: Step
    /// For ``Step/resolve`` the number that `getaddrinfo` returned.
    package let errno: Int32
    /// What the number does not tell, as a thing that came: `bytes without sense (3f 00)`.
    package let detail: String

    package init(step: Step, errno: Int32, detail: String = "") {
        self.step = step
        self.errno = errno
        self.detail = detail
    }

    /// Whether only a person can mend it.
    package var isPermission: Bool { errno == EACCES || errno == EPERM }

    /// Whether another program has a serial port.
    package var isTaken: Bool { step == .open && (errno == EWOULDBLOCK || errno == EBUSY) }

    /// What the system calls it, in lower case.
    package var words: String {
        if step == .resolve { return String(cString: gai_strerror(errno)).lowercased() }
        guard errno != 0 else { return "no reason given" }
        if isTaken { return "another program has the port" }
        return String(cString: strerror(errno)).lowercased()
    }
}

/// What one board needs beyond what its line does.
package struct BoardTiming: Sendable, Equatable {
    /// How long it may take to answer, where the link's figure is shorter.
    package var response: Duration
    /// The silence it needs after an exchange, where the line's is shorter.
    package var gap: Duration

    package init(response: Duration = .zero, gap: Duration = .zero) {
        self.response = response
        self.gap = gap
    }

    /// Reads a board profile's `timing` table.
    package init(_ options: Options) throws(LockerError) {
        response = .milliseconds(
            try options.optionalInteger("response_ms", in: BusLimits.response) ?? 0)
        gap = .milliseconds(try options.optionalInteger("gap_ms", in: BusLimits.gap) ?? 0)
    }
}
