import ControlWire

/// Why a call to the daemon has no result.
public enum ControlError: Error, Sendable, Equatable {
    /// Nobody could be reached at the socket; nothing was sent.
    ///
    /// `code` is the `errno` of the attempt: `ENOENT`, `ECONNREFUSED`, `EACCES`, ….
    case unreachable(path: String, code: Int32)
    /// The daemon answered with an error.
    case refused(DaemonFault)
    /// The connection ended while the call was under way: whether the daemon carried it out is not known.
    case connectionLost(method: String, reason: String)
    /// The daemon did not answer in time. It may still carry the call out.
    case timedOut(method: String, after: Duration)
    /// The calling task was cancelled. The daemon may still carry the call out.
    case abandoned(method: String)
    /// What came is not what the protocol promises.
    case malformed(String)
    /// The client had been closed, or the connection had ended, before the call.
    case closed(reason: String)
    /// Events came faster than they were taken; some are lost to this stream.
    case eventsOverflowed(limit: Int)
}

/// The error object of a reply.
public struct DaemonFault: Error, Sendable, Equatable {
    /// JSON-RPC's number; -32000 for everything that is about lockers.
    public let number: Int
    /// The word from the daemon's closed list, such as `LINK_DOWN`; nil for JSON-RPC's own faults.
    public let code: String?
    /// One lower-case clause for people.
    public let message: String
    /// Whether a coil was energised; nil where the daemon did not say.
    public let fired: Fired?
    /// Whether the same request may succeed later.
    public let isRetryable: Bool
    /// The rule that would allow what was not permitted, where the daemon names one apart from the message.
    public let rule: String?
    /// The operation that was accepted and ended in this error; nil where nothing was accepted.
    public let operation: String?
    /// Whether this is an earlier answer to the same idempotency key.
    public let isReplayed: Bool
    /// When the same request may succeed, in milliseconds from the answer, where the daemon knows: of `DUTY_LIMIT`.
    public let retryAfterMs: Double?
    /// How often the order was given, where more than once.
    public let attempts: Int?
    /// The whole error object as the daemon sent it, one line of JSON.
    public let json: String

    /// Whether a coil was energised on behalf of a request.
    public enum Fired: String, Sendable {
        case no, yes, unknown
    }

    /// Whether the daemon does not know the method: it is older than the caller.
    public var isUnknownMethod: Bool { number == ControlFault.methodNotFoundNumber }
}

extension ControlError: CustomStringConvertible {
    /// One lower-case clause.
    public var description: String {
        switch self {
        case .unreachable(let path, let code): "no connection to \(path): errno \(code)"
        case .refused(let fault): fault.message
        case .connectionLost(let method, let reason):
            "the connection ended before the reply to \(method) came: \(reason)"
        case .timedOut(let method, let limit): "no reply to \(method) within \(limit)"
        case .abandoned(let method): "the wait for the reply to \(method) was given up"
        case .malformed(let problem): "the daemon's answer cannot be understood: \(problem)"
        case .closed(let reason): "the connection had ended: \(reason)"
        case .eventsOverflowed(let limit): "more than \(limit) events waited to be taken"
        }
    }
}
