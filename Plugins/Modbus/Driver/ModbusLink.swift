import BusKit
import LockerKit

typealias ModbusLink = BusLink<ModbusPort>

extension BusLink where Port == ModbusPort {
    /// Reads levels. A connection that turns out to be dead is replaced once and the question repeated, which is harmless.
    func read(
        _ request: ReadRequest, of board: BoardPlan, isUrgent: Bool,
        until deadline: ContinuousClock.Instant
    ) async throws(Fault) -> [UInt16] {
        let unit = board.unit
        let isReused = isReused
        do throws(Fault) {
            return try await exchange(
                with: board.profile.timing, isUrgent: isUrgent, until: deadline
            ) {
                port, limit throws(PortFailure) in
                try port.read(request, unit: unit, within: limit)
            }
        } catch .lost where isReused, .notSent where isReused {
            return try await exchange(with: board.profile.timing, isUrgent: true, until: deadline) {
                port, limit throws(PortFailure) in
                try port.read(request, unit: unit, within: limit)
            }
        }
    }

    /// Sends an order, once, waits until the board has repeated it, and returns when the order left.
    ///
    /// - Parameters:
    ///   - isRelease: a coil is on and has no time for the pause between requests that people configured.
    ///   - longest: for an order that must not be waited for as long as other answers.
    ///   - latest: for an order that must not leave at this moment or later.
    @discardableResult
    func send(
        _ order: CoilOrder, to board: BoardPlan, isRelease: Bool = false,
        answerWithin longest: Duration? = nil, before latest: ContinuousClock.Instant? = nil,
        until deadline: ContinuousClock.Instant
    ) async throws(Fault) -> ContinuousClock.Instant {
        let framing = settings.framing
        let clock = context.clock
        let (frame, sentAt) = try await exchange(
            with: board.profile.timing, isUrgent: true, isRelease: isRelease, answerWithin: longest,
            before: latest, until: deadline
        ) { port, limit throws(PortFailure) in
            let sentAt = clock.now
            return (try port.exchange(order.bytes, within: limit), sentAt)
        }
        switch order.verdict(on: frame, framing, board.profile.echo) {
        case .echoed: return sentAt
        case .exception(let code): throw .exception(code)
        case .unusable(let what):
            distrust(board.profile.timing)
            throw .garbled(what)
        }
    }
}

extension LinkSettings {
    init(_ options: Options) throws(LockerError) {
        try self.init(
            options, Defaults(serialWord: "rtu", port: 502, baud: 9600, isRaw: false))
    }

    /// What the transport puts around a request.
    var framing: Framing {
        switch transport {
        case .tcp: .tcp
        case .serial: .rtu
        }
    }
}
