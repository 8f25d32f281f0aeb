import Glibc
package import LockerKit

/// The connection that all controllers of a link share: one request at a time, each with its limit, reconnecting as needed.
package actor BusLink<Port: BusPort & ~Copyable> {
    package nonisolated let settings: LinkSettings
    private nonisolated let queue: DeviceQueue
    package nonisolated let context: DriverContext
    private var port: Port
    private let lookup: HostLookup
    /// How long the kernel may go on trying to deliver a request.
    private let patience: Duration
    /// What the host's name stands for; empty before the first connection.
    private var addresses: [String] = []

    private var isOpen = false
    /// Whether anything was ever answered on the present connection.
    private var hasAnswered = false
    private var reconnection = Reconnection()
    /// Until then the line is left silent after the last exchange.
    private var quietUntil: ContinuousClock.Instant?
    /// Until then an answer that was given up may still come, on a serial line.
    private var lateUntil: ContinuousClock.Instant?
    /// What was last said in the log about the connection, so that it is said once.
    private var complaint: String?
    private var hasNotedDirection = false

    private var isTaken = false
    private var waiting: [CheckedContinuation<Void, Never>] = []
    private var users: Set<String> = []

    package nonisolated var unownedExecutor: UnownedSerialExecutor {
        queue.asUnownedSerialExecutor()
    }

    /// - Parameters:
    ///   - slowest: how long the slowest board may take to answer, where that is longer than the link's figure.
    ///   - resolve: turns the name of a host into its addresses; may take as long as it likes.
    package init(
        _ settings: LinkSettings, context: DriverContext, slowest: Duration = .zero,
        resolve: @escaping HostLookup.Resolver = { host throws(PortFailure) in
            try NetworkHandle.resolve(host)
        }
    ) throws(LockerError) {
        self.settings = settings
        self.context = context
        patience = max(settings.response, slowest)
        lookup = HostLookup(label: context.link, resolve: resolve)
        queue = DeviceQueue(label: context.link)
        do throws(PortFailure) {
            port = try Port(settings.transport)
        } catch {
            throw LockerError(
                .invalidRequest,
                "link \(context.link) cannot use \(settings.endpoint): \(error.words)")
        }
    }

    // MARK: Turns

    /// Runs `body` alone: what belongs together on the line, such as on, pulse and off, is not interleaved.
    package func alone<Value: Sendable>(
        _ body: nonisolated(nonsending) @Sendable () async -> Value
    ) async -> Value {
        if isTaken {
            await withCheckedContinuation { waiting.append($0) }
        }
        isTaken = true
        let value = await body()
        if waiting.isEmpty {
            isTaken = false
        } else {
            waiting.removeFirst().resume()
        }
        return value
    }

    // MARK: Users

    /// Connects for a controller that starts. Only the first one insists: a dozen units behind a gateway that is gone would
    /// each wait for it in turn.
    package func join(_ controller: String) async throws(Fault) {
        let isFirst = users.isEmpty
        users.insert(controller)
        try connect(isUrgent: isFirst, until: context.clock.now + BusLimits.doors)
    }

    /// Lets go of the port when the last controller has stopped.
    package func leave(_ controller: String) {
        users.remove(controller)
        if users.isEmpty { disconnect() }
    }

    // MARK: Requests

    /// Makes sure that there is a connection and that the other end has not hung up, without sending anything.
    ///
    /// While a lost connection rests between two attempts this fails at once; an urgent request tries all the same.
    package func connect(isUrgent: Bool, until deadline: ContinuousClock.Instant) throws(Fault) {
        if isOpen, port.isQuiet() { return }
        disconnect()
        let now = context.clock.now
        if !isUrgent, let excuse = reconnection.excuse(at: now) {
            throw .down("\(settings.endpoint) is down: \(excuse)")
        }
        try findHost(until: deadline)
        do throws(PortFailure) {
            try open(until: deadline)
        } catch {
            port.close()
            throw noteDown(error)
        }
        isOpen = true
        reconnection.noteConnected()
        setDirection()
    }

    /// Finds out the host's addresses, once: a coil that is on has been reached before, and its off never waits for a name
    /// server.
    private func findHost(until deadline: ContinuousClock.Instant) throws(Fault) {
        guard case .tcp(let host, _) = settings.transport, addresses.isEmpty else { return }
        let limit = min(settings.connect, context.clock.now.duration(to: deadline))
        switch lookup.find(host, within: limit) {
        case .found(let found): addresses = Array(found.prefix(BusLimits.addresses))
        case .failed(let failure): throw noteDown(failure)
        case .pending: throw complain("still looking up \(host)")
        }
    }

    private func open(until deadline: ContinuousClock.Instant) throws(PortFailure) {
        let clock = context.clock
        let end = min(clock.now + settings.connect, deadline)
        guard case .tcp(_, let service) = settings.transport else {
            return try port.open(
                within: clock.now.duration(to: end), deliveringFor: patience)
        }
        var failure: PortFailure?
        for (index, address) in addresses.enumerated() {
            let share = clock.now.duration(to: end) / (addresses.count - index)
            do throws(PortFailure) {
                try port.turn(to: address, service)
                return try port.open(within: share, deliveringFor: patience)
            } catch {
                port.close()
                failure = error
            }
        }
        throw failure ?? PortFailure(step: .open, errno: EADDRNOTAVAIL)
    }

    /// Whether anything was answered on the connection that is up: it may have died since then without a word.
    package var isReused: Bool { isOpen && hasAnswered }

    /// Has `body` send a request and wait for its answer, once the line has been silent long enough.
    ///
    /// - Parameters:
    ///   - isRelease: a coil is on and has no time for the pause between requests that people configured.
    ///   - longest: for an order that must not be waited for as long as other answers.
    ///   - latest: for an order that must not leave at this moment or later.
    package func exchange<Answer>(
        with board: BoardTiming, isUrgent: Bool, isRelease: Bool = false,
        answerWithin longest: Duration? = nil, before latest: ContinuousClock.Instant? = nil,
        until deadline: ContinuousClock.Instant,
        _ body: (borrowing Port, Duration) throws(PortFailure) -> Answer
    ) async throws(Fault) -> Answer {
        var silences = BusLimits.silences
        await waitForSilence(&silences)
        try connect(isUrgent: isUrgent, until: deadline)
        if let quietUntil = silence(isRelease: isRelease), context.clock.now < quietUntil {
            try? await context.clock.sleep(until: quietUntil, tolerance: .zero)
            await waitForSilence(&silences)
            // The connection may have ended meanwhile.
            try connect(isUrgent: isUrgent, until: deadline)
        }
        let response = min(response(of: board), longest ?? response(of: board))
        let now = context.clock.now
        if let latest, now >= latest { throw .expired }
        let limit = min(response, now.duration(to: deadline))
        guard limit > .zero else { throw .notSent("no time was left for it") }
        defer { quietUntil = context.clock.now + max(settings.frameGap, board.gap) }
        do throws(PortFailure) {
            let answer = try body(port, limit)
            noteAnswer()
            return answer
        } catch {
            let fault = Port.fault(of: error, within: limit)
            settle(after: fault, error, board)
            throw fault
        }
    }

    /// Waits until the silence after the last exchange is over.
    ///
    /// A read that was asked for by the clock does that before it answers: the next one would wait for it anyway, and an open that
    /// comes meanwhile would wait behind that one.
    package func rest() async {
        guard let quietUntil, context.clock.now < quietUntil else { return }
        try? await context.clock.sleep(until: quietUntil, tolerance: .zero)
    }

    /// Where bytes still come that nobody waits for, such as the rest of two boards' answers at once, a request would meet them on
    /// the wire. Not for ever: a line that is never silent must not keep a coil on.
    private func waitForSilence(_ left: inout Int) async {
        guard settings.frameGap > .zero else { return }
        while isOpen, left > 0, port.hasBytes() {
            left -= 1
            port.flush()
            try? await context.clock.sleep(for: settings.frameGap, tolerance: .zero)
        }
    }

    /// How long the line has to be left alone before the next request; nil where it was never used.
    ///
    /// A coil that is on has no time for more than the silence between two frames. It needs no more either: an answer that
    /// belongs to another request does not repeat off, and one to an earlier off is as good.
    private func silence(isRelease: Bool) -> ContinuousClock.Instant? {
        guard let gap = quietUntil else { return nil }
        return isRelease ? gap : max(gap + settings.spacing, lateUntil ?? gap)
    }

    /// How long that board may take to answer.
    private func response(of board: BoardTiming) -> Duration {
        max(settings.response, board.response)
    }

    // MARK: After an exchange

    private func noteAnswer() {
        hasAnswered = true
        reconnection.noteAnswer()
        guard complaint != nil else { return }
        complaint = nil
        context.info("\(settings.endpoint) answers again")
    }

    private func settle(
        after fault: Fault, _ failure: PortFailure, _ board: BoardTiming
    ) {
        switch fault {
        case .refused: noteAnswer()
        case .silent, .garbled: distrust(board)
        case .down, .expired, .notSent, .halfSent, .lost:
            // What has worked may be tried again at once; what never has, with growing pauses.
            let hasWorked = hasAnswered
            disconnect()
            if !hasWorked { _ = noteDown(failure) }
        }
    }

    /// An answer may still be on its way: it must never be taken for the one to the next request. Over TCP another connection
    /// tells them apart. The request itself may be on its way, too; that it does not arrive any more is seen to by the abrupt
    /// end of the old connection.
    ///
    /// On a serial line nothing tells answers apart but time, also where TCP leads to one: it is left alone once more as long as
    /// an answer may take, and what has come is thrown away before the next request.
    package func distrust(_ board: BoardTiming) {
        let isNumbered: Bool
        if case .tcp = settings.transport {
            disconnect()
            isNumbered = Port.isNumbered
        } else {
            port.flush()
            isNumbered = false
        }
        if !isNumbered {
            let end = context.clock.now + response(of: board)
            lateUntil = max(lateUntil ?? end, end)
        }
    }

    private func disconnect() {
        guard isOpen else { return }
        isOpen = false
        hasAnswered = false
        port.close()
    }

    private func noteDown(_ failure: PortFailure) -> Fault {
        let cause = "\(failure.words)\(remedy(for: failure))"
        reconnection.noteFailure(cause, at: context.clock.now)
        return complain(cause, isLoud: failure.isPermission)
    }

    /// Says why there is no connection, once for each reason.
    private func complain(_ cause: String, isLoud: Bool = false) -> Fault {
        let text = "\(settings.endpoint) is down: \(cause)"
        if complaint != text {
            complaint = text
            isLoud ? context.error(text) : context.warning(text)
        }
        return .down(text)
    }

    private func remedy(for failure: PortFailure) -> String {
        guard failure.isPermission, case .serial = settings.transport else { return "" }
        return "; the daemon's user needs the port's group, usually dialout"
    }

    private func setDirection() {
        guard case .serial(let serial) = settings.transport, serial.direction != .none else {
            return
        }
        guard !port.useKernelDirection(), !hasNotedDirection else { return }
        hasNotedDirection = true
        let text = "\(serial.device) leaves the direction of an RS-485 line to the adapter"
        serial.direction == .kernel ? context.warning(text) : context.info(text)
    }
}
