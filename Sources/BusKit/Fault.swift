package import LockerKit

/// How one exchange with a board, or getting ready for it, went wrong.
package enum Fault: Error, Sendable, Equatable {
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
    /// The board answered and said no.
    case refused(Refusal)

    /// Whether the board may have acted on the request.
    package var mayHaveActed: Bool {
        switch self {
        case .down, .expired, .notSent: false
        case .halfSent, .lost, .silent, .garbled: true
        case .refused(let refusal): !refusal.provesIdle
        }
    }

    /// Whether the board answered and said no.
    package var isRefusal: Bool {
        if case .refused = self { true } else { false }
    }

    private var sent: LockerError.Sent {
        switch self {
        case .down, .expired, .notSent: .no
        case .halfSent: .maybe
        case .lost, .silent, .garbled, .refused: .yes
        }
    }

    private var code: LockerError.Code {
        switch self {
        case .down, .notSent, .halfSent, .lost: .linkDown
        case .expired: .expired
        case .silent, .garbled: .timedOut
        case .refused(let refusal): refusal.code
        }
    }

    /// What happened, as a clause that follows the name of the thing.
    package var clause: String {
        switch self {
        case .down(let cause): cause
        case .expired: "the deadline passed before the lock could fire"
        case .notSent(let cause): "could not be asked: \(cause)"
        case .halfSent(let cause): "was asked only half: \(cause)"
        case .lost(let cause): "did not answer before the connection broke: \(cause)"
        case .silent(let limit): "did not answer within \(limit.wholeMilliseconds) ms"
        case .garbled(let what): "answered with \(what)"
        case .refused(let refusal): "refused: \(refusal.words)"
        }
    }

    /// As the error of something that cannot fire, whatever became of it.
    package func harmless(_ thing: String) -> LockerError {
        LockerError(code, text(thing), fired: .no, sent: .no)
    }

    /// As the error of an order to energise.
    package func fateful(_ thing: String) -> LockerError {
        LockerError(code, text(thing), fired: mayHaveActed ? .unknown : .no, sent: sent)
    }

    private func text(_ thing: String) -> String {
        switch self {
        case .down, .expired: clause
        default: "\(thing) \(clause)"
        }
    }
}

/// How a board said no.
package struct Refusal: Sendable, Equatable {
    /// The number it gave as its reason; 0 where it gives none.
    package let number: UInt8
    /// What that means, as a clause: `exception 2, illegal data address`.
    package let words: String
    package let code: LockerError.Code
    /// Whether a board that answers so has certainly not acted.
    package let provesIdle: Bool

    package init(number: UInt8, words: String, code: LockerError.Code, provesIdle: Bool) {
        self.number = number
        self.words = words
        self.code = code
        self.provesIdle = provesIdle
    }
}

extension Duration {
    package var wholeMilliseconds: Int { Int(self / .milliseconds(1)) }
}
