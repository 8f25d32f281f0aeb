/// What went wrong, in the one closed set of codes that drivers, the core and every client share.
///
/// The message is lower-case, names the thing, then what was wanted and what came, and never holds a secret:
/// `unit 3 did not answer coil 12 within 500 ms`.
public struct LockerError: Error, Sendable, Equatable {
    /// The closed list of codes. A driver uses those marked *driver*; the others belong to the core.
    public enum Code: String, Sendable, CaseIterable {
        /// The request or the options cannot be understood. *Driver.*
        case invalidRequest = "INVALID_REQUEST"
        /// No such locker. *Driver.*
        case unknownLocker = "UNKNOWN_LOCKER"
        /// No such controller. *Driver.*
        case unknownController = "UNKNOWN_CONTROLLER"
        /// No such operation.
        case unknownOperation = "UNKNOWN_OPERATION"
        /// The peer holds no right to this.
        case notPermitted = "NOT_PERMITTED"
        /// A queue is full, or the board is occupied. *Driver.*
        case busy = "BUSY"
        /// The deadline passed before the lock could fire; it never will for this request. *Driver.*
        case expired = "EXPIRED"
        /// The idempotency key was used with other parameters.
        case keyReused = "KEY_REUSED"
        /// The coil must rest first. *Driver*, where a board refuses to protect its coil.
        case dutyLimit = "DUTY_LIMIT"
        /// The port, the connection, the adapter or the module is gone. *Driver.*
        case linkDown = "LINK_DOWN"
        /// No answer within the limit. *Driver.*
        case timedOut = "TIMED_OUT"
        /// The hardware answered and said no. *Driver.*
        case refused = "REFUSED"
        /// An output could not be switched off: somebody must go there now. *Driver.*
        case outputStuck = "OUTPUT_STUCK"
        /// Cancelled before it could fire. *Driver.*
        case cancelled = "CANCELLED"
        /// The state of the thing forbids it.
        case conflict = "CONFLICT"
        /// The daemon is stopping.
        case stopping = "STOPPING"
        /// A promise inside the program was broken. *Driver.*
        case `internal` = "INTERNAL"
    }

    /// Whether a coil was energised on behalf of the request.
    public enum Fired: String, Sendable, CaseIterable {
        case no, yes, unknown
    }

    /// Whether the request's bytes left for the board; decides if a retry can be harmless.
    public enum Sent: String, Sendable, CaseIterable {
        case no, maybe, yes
    }

    /// The kind of failure.
    public let code: Code
    /// One lower-case clause for people; no secret, no final stop.
    public let message: String
    /// Whether a coil was energised.
    public let fired: Fired
    /// Whether the request reached the board.
    public let sent: Sent
    /// When the same request may succeed, counted from now, where that is known: of ``Code/dutyLimit``.
    public let retryAfter: Duration?

    /// Makes an error; without more words nothing was sent and nothing fired.
    public init(
        _ code: Code, _ message: String, fired: Fired = .no, sent: Sent = .no,
        retryAfter: Duration? = nil
    ) {
        self.retryAfter = retryAfter
        self.code = code
        self.message = message
        self.fired = fired
        self.sent = sent
    }
}

extension LockerError: CustomStringConvertible {
    /// `CODE: message`, for logs.
    public var description: String { "\(code.rawValue): \(message)" }
}
