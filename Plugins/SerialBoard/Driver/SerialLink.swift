import BusKit
import LockerKit

typealias SerialLink = BusLink<SerialPort>

extension BusLink where Port == SerialPort {
    /// Asks for levels. A connection that turns out to be dead is replaced once and the question repeated, which is harmless.
    func ask(
        _ question: Question, of board: BoardPlan, isUrgent: Bool,
        until deadline: ContinuousClock.Instant
    ) async throws(Fault) -> [Int: Bool] {
        let isReused = isReused
        do throws(Fault) {
            return try await levels(question, board, isUrgent: isUrgent, until: deadline)
        } catch .lost where isReused, .notSent where isReused {
            return try await levels(question, board, isUrgent: true, until: deadline)
        }
    }

    private func levels(
        _ question: Question, _ board: BoardPlan, isUrgent: Bool,
        until deadline: ContinuousClock.Instant
    ) async throws(Fault) -> [Int: Bool] {
        let silence = silence
        let answer = try await exchange(
            with: board.profile.timing, isUrgent: isUrgent, until: deadline
        ) { port, limit throws(PortFailure) in
            try port.exchange(question, board.codec, within: limit, silence: silence)
        }
        switch answer {
        case .levels(let levels): return levels
        case .refused(let refusal): throw .refused(refusal)
        case .taken: throw .garbled("an answer to an order")
        }
    }

    /// Sends the order to open, once, and returns when the board has taken it.
    ///
    /// - Parameter latest: it must not leave at this moment or later.
    func order(
        _ channel: Int, of board: BoardPlan, before latest: ContinuousClock.Instant?,
        until deadline: ContinuousClock.Instant
    ) async throws(Fault) {
        let silence = silence
        let answer = try await exchange(
            with: board.profile.timing, isUrgent: true,
            answerWithin: board.profile.answersOrders ? nil : Limits.unanswered,
            before: latest, until: deadline
        ) { port, limit throws(PortFailure) in
            try port.exchange(
                .open(channel: channel), board.codec, within: limit, silence: silence)
        }
        switch answer {
        case .taken: return
        case .refused(let refusal): throw .refused(refusal)
        case .levels: throw .garbled("an answer to a question")
        }
    }

    private var silence: Duration { max(settings.frameGap, Limits.settling) }
}

extension LinkSettings {
    /// - Parameter usualBaud: the rate of boards as they come.
    init(_ options: Options, usualBaud: Int) throws(LockerError) {
        try self.init(
            options, Defaults(serialWord: "serial", port: nil, baud: usualBaud, isRaw: true))
    }
}
