import LockerKit

/// How one exchange with a board, or getting ready for it, went wrong.
enum Fault: Error, Sendable, Equatable {
    /// There is no connection; nothing was sent.
    case down(String)
    /// The moment after which the order must not be carried out came before it could leave.
    case expired
    /// The request could not be handed to the port; no byte of it left.
    case notSent(String)
    /// A part of the request left.
    case halfSent(String)
    /// The connection broke after the request had left.
    case lost(String)
    /// No answer in time.
    case silent(Duration)
    /// An answer that cannot be taken for one to this request.
    case garbled(String)
    /// The board refused.
    case exception(UInt8)

    /// Whether the board may have acted on the request.
    var mayHaveActed: Bool {
        switch self {
        case .down, .expired, .notSent: false
        case .halfSent, .lost, .silent, .garbled: true
        case .exception(let code): !ExceptionCode.provesIdle(code)
        }
    }

    /// Whether the board answered and said no.
    var isRefusal: Bool {
        if case .exception = self { true } else { false }
    }

    private var sent: LockerError.Sent {
        switch self {
        case .down, .expired, .notSent: .no
        case .halfSent: .maybe
        case .lost, .silent, .garbled, .exception: .yes
        }
    }

    private var code: LockerError.Code {
        switch self {
        case .down, .notSent, .halfSent, .lost: .linkDown
        case .expired: .expired
        case .silent, .garbled: .timedOut
        case .exception(let code): ExceptionCode.meaning(code)
        }
    }

    /// What happened, as a clause that follows the name of the thing.
    var clause: String {
        switch self {
        case .down(let cause): cause
        case .expired: "the deadline passed before the lock could fire"
        case .notSent(let cause): "could not be asked: \(cause)"
        case .halfSent(let cause): "was asked only half: \(cause)"
        case .lost(let cause): "did not answer before the connection broke: \(cause)"
        case .silent(let limit): "did not answer within \(limit.wholeMilliseconds) ms"
        case .garbled(let what): "answered with \(what)"
        case .exception(let code): "refused: \(ExceptionCode.name(code))"
        }
    }

    /// As the error of something that cannot fire, whatever became of it.
    func harmless(_ thing: String) -> LockerError {
        LockerError(code, text(thing), fired: .no, sent: .no)
    }

    /// As the error of an order to energise.
    func fateful(_ thing: String) -> LockerError {
        LockerError(code, text(thing), fired: mayHaveActed ? .unknown : .no, sent: sent)
    }

    private func text(_ thing: String) -> String {
        switch self {
        case .down, .expired: clause
        default: "\(thing) \(clause)"
        }
    }
}

/// The exception codes of the Modbus application protocol, section 7.
enum ExceptionCode {
    static func name(_ code: UInt8) -> String {
        switch code {
        case 1: "exception 1, illegal function"
        case 2: "exception 2, illegal data address"
        case 3: "exception 3, illegal data value"
        case 4: "exception 4, device failure"
        case 5: "exception 5, acknowledged but not done yet"
        case 6: "exception 6, device busy"
        case 7: "exception 7, negative acknowledge"
        case 8: "exception 8, memory parity error"
        case 10: "exception 10, gateway has no path to it"
        case 11: "exception 11, gateway got no answer from it"
        default: "exception \(code)"
        }
    }

    /// Whether a board that answers so has certainly not acted.
    ///
    /// Not so after 4, which a board sends when it failed while acting, after 5, which announces that it will act, and after
    /// 11, where a gateway has passed the request on.
    static func provesIdle(_ code: UInt8) -> Bool {
        switch code {
        case 1, 2, 3, 6, 7, 10: true
        default: false
        }
    }

    static func meaning(_ code: UInt8) -> LockerError.Code {
        switch code {
        case 6: .busy
        case 10, 11: .timedOut
        default: .refused
        }
    }
}

extension Duration {
    var wholeMilliseconds: Int { Int(self / .milliseconds(1)) }
}
