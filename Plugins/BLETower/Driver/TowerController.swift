import BLERadio
import CBORCodec
package import LockerKit
import Locks
import TowerLink

/// A tower as a controller. The tower ends its pulses by itself, so nothing has to be switched off.
package actor TowerController: ActingController {
    nonisolated let plan: TowerPlan
    private nonisolated let queue: DeviceQueue
    nonisolated let context: DriverContext
    private let access: TowerAccess
    /// For whoever stops it, on whatever thread.
    private nonisolated let live = Mutex<BLESocket?>(nil)

    private(set) var isStarted = false
    private var session: TowerSession?
    private var attributes: TowerSession.Attributes?
    /// The tower's number of the locker that it has opened last in this session, as far as that is certain, and when.
    private var lastOpened: (number: Int, at: ContinuousClock.Instant)?
    /// Seconds since 1970 at which the session ends, where that is known, and at which it is begun anew.
    private var sessionEnds: Int64?
    private var renewsAt: Int64?
    /// Counts commands, so that whoever waits for idleness sees that there was one.
    private var commands = 0
    private var isBusy = false

    package nonisolated var unownedExecutor: UnownedSerialExecutor {
        queue.asUnownedSerialExecutor()
    }

    init(_ plan: TowerPlan, on queue: DeviceQueue, context: DriverContext) {
        self.plan = plan
        self.queue = queue
        self.context = context
        access = TowerAccess(plan)
    }

    package nonisolated var capabilities: Capabilities { plan.capabilities }

    /// How errors name it.
    nonisolated var name: String { "tower \(plan.tower) at \(plan.address)" }

    package func start() async throws(LockerError) {
        isStarted = true
        _ = try await readDoors()
    }

    package func readDoors() async throws(LockerError) -> [DoorReading] {
        guard isStarted else { throw notStarted }
        let beganAt = context.clock.now
        let end = beganAt + Limits.read
        do throws(TowerFault) {
            try await connect(until: beganAt + Limits.reach)
            return try await doors(until: end)
        } catch {
            throw error.harmless(name)
        }
    }

    package func open(_ command: OpenCommand) async throws(LockerError) -> OpenReport {
        guard let number = plan.numbers[command.locker] else {
            throw LockerError(.unknownLocker, "no locker \(command.locker) on \(plan.id)")
        }
        guard isStarted else { throw notStarted }
        let beganAt = context.clock.now
        let end = beganAt + Limits.open
        do throws(TowerFault) {
            // Whatever takes time before the order goes out.
            try await connect(until: end)
        } catch {
            throw error.harmless(name)
        }
        let packet = try packet(command, number)
        // Whatever comes of it, it is not what was opened last any more.
        lastOpened = nil
        let answer: Packet
        do throws(TowerFault) {
            answer = try await ask(packet, until: end, before: command.deadline)
        } catch {
            throw error.fateful(name)
        }
        try check(answer, opened: number, command)
        lastOpened = (number, context.clock.now)
        let after = try? await doors(until: end).first { $0.locker == command.locker }
        return OpenReport(
            evidence: .echo, doorAfter: after?.door.value,
            bus: beganAt.duration(to: context.clock.now), pulse: plan.pulse)
    }

    /// Ends the connection, also while somebody waits for an answer.
    package nonisolated func stop() async throws(LockerError) {
        live.withLock { $0?.cut() }
        await end()
    }

    private func end() {
        isStarted = false
        disconnect()
    }

    var notStarted: LockerError {
        LockerError(.linkDown, "\(plan.id) has not been started")
    }
}

// MARK: Commands

extension TowerController {
    private func packet(_ command: OpenCommand, _ number: Int) throws(LockerError) -> Packet {
        guard let token = command.token else {
            if command.isAgain {
                // The tower would open whatever it was.
                try checkLast(command.locker, number, within: Limits.again)
                return Packet(.reopenLocker)
            }
            return Packet(.fireLock, [.lockerID: .int(Int64(number))])
        }
        guard let payload = bytes(fromHex: token.payload),
            let auth = bytes(fromHex: token.payloadAuth),
            max(payload.count, auth.count) <= Limits.token
        else {
            throw LockerError(
                .invalidRequest,
                "the token of a tower is two texts of hexadecimal digits, of at most \(Limits.token) bytes each"
            )
        }
        return Packet(
            .openLockerWithToken, [.payload: .bytes(payload), .payloadAuth: .bytes(auth)])
    }

    /// Throws where this is not the locker that was opened last in this session.
    func checkLast(
        _ locker: Int, _ number: Int, within limit: Duration? = nil
    ) throws(LockerError) {
        guard let lastOpened, lastOpened.number == number,
            limit.map({ context.clock.now - $0 < lastOpened.at }) ?? true
        else {
            throw LockerError(
                .refused, "\(name) has not opened locker \(locker) last in this session")
        }
    }

    /// A token opens what its issuer has written into it, whatever the caller thinks.
    private func check(
        _ answer: Packet, opened number: Int, _ command: OpenCommand
    ) throws(LockerError) {
        guard answer.message == .lockerOpened, let opened = answer.fields[.lockerID]?.intValue
        else {
            throw LockerError(
                .linkDown, "\(name): \(answer.message.rawValue) in answer to an open",
                fired: .unknown, sent: .yes)
        }
        guard opened != number else { return }
        guard opened >= 0 else {
            throw LockerError(.refused, "\(name) opened no locker", fired: .no, sent: .yes)
        }
        let own = plan.numbers.first { $0.value == opened }?.key
        let which = "its locker \(opened)\(own.map { ", which is locker \($0) here" } ?? "")"
        guard command.token != nil else {
            throw LockerError(
                .linkDown,
                "\(name) was told to open locker \(command.locker) and says that it opened \(which)",
                fired: .unknown, sent: .yes)
        }
        context.warning(
            "a token that came for locker \(command.locker) opened another: \(name), \(which)")
        throw LockerError(
            .refused,
            "the token was for another door: \(name) opened \(which), and not locker \(command.locker)",
            fired: .no, sent: .yes)
    }

    private func doors(until end: ContinuousClock.Instant) async throws(TowerFault) -> [DoorReading]
    {
        try await connect(until: end)
        let seenAt = context.clock.now
        let answer = try await ask(Packet(.checkAllLockerDoors), until: end, before: nil)
        guard answer.message == .allLockerDoorStates,
            let states = answer.fields[.doorsOpen]?.bytesValue
        else {
            var fault = TowerFault(
                .dishonest, "\(answer.message.rawValue) in answer to checkAllLockerDoors")
            fault.wasSent = true
            throw fault
        }
        return plan.sensed.sorted().map { locker in
            let number = plan.numbers[locker] ?? 0
            let state: DoorState =
                number / 8 >= states.count
                ? .unknown : states[number / 8] >> UInt8(number % 8) & 1 == 1 ? .open : .closed
            return DoorReading(locker: locker, door: state, takenAt: seenAt)
        }
    }

    /// Asks, and asks a busy tower again. A session that the tower has forgotten is begun anew: it has not done what it was asked.
    ///
    /// - Parameter deadline: nothing is sent any more from then on.
    func ask(
        _ packet: Packet, until end: ContinuousClock.Instant,
        before deadline: ContinuousClock.Instant?
    ) async throws(TowerFault) -> Packet {
        isBusy = true
        defer {
            isBusy = false
            watchForIdleness()
        }
        let limit = min(end, deadline ?? end)
        var tries = 0
        while true {
            // Each time: whatever has passed since may have made it wrong.
            try checkWanted(before: deadline)
            do throws(TowerFault) {
                guard let session else { throw TowerFault(.away, "there is no connection") }
                return try session.ask(packet, until: end)
            } catch {
                tries += 1
                let next = context.clock.now + (error.isBusy ? Limits.busyPause : .zero)
                let isAgain =
                    error.isBusy ? tries <= Limits.busyTries : error.hasLostSession && tries == 1
                guard isAgain, next < limit else {
                    if session?.isAlive == false { disconnect() }
                    throw error
                }
                if error.isBusy { try await pause(until: next) }
            }
            // The tower has refused what it was asked and done nothing: what goes wrong from here on does not change that.
            try await connect(until: limit)
        }
    }

    /// Throws where nobody wants it any more.
    private func checkWanted(before deadline: ContinuousClock.Instant?) throws(TowerFault) {
        guard isStarted, !Task.isCancelled else {
            throw TowerFault(.cancelled, "cancelled before anything was sent")
        }
        if let deadline, deadline <= context.clock.now {
            throw TowerFault(.expired, "the deadline passed before the lock could fire")
        }
    }

    private func pause(until moment: ContinuousClock.Instant) async throws(TowerFault) {
        try? await context.clock.sleep(until: moment, tolerance: nil)
        try checkWanted(before: nil)
    }
}

// MARK: The connection

extension TowerController {
    /// Gets to a session, where there is none. Whatever goes wrong here is nothing that a command did.
    func connect(until end: ContinuousClock.Instant) async throws(TowerFault) {
        if let session, !session.isAlive { disconnect() }
        var tries = 0
        while session?.hasSession != true || isSessionEnding {
            try checkWanted(before: nil)
            do throws(TowerFault) {
                try establish(until: end)
            } catch {
                tries += 1
                if case .refused = error.kind {} else { disconnect() }
                let next = context.clock.now + Limits.busyPause
                guard error.isBusy, tries <= Limits.busyTries, next < end else {
                    disconnect()
                    throw error.ofConnecting
                }
                try await pause(until: next)
            }
        }
    }

    private func establish(until end: ContinuousClock.Instant) throws(TowerFault) {
        let running: TowerSession
        if let session, session.isAlive {
            running = session
        } else {
            running = try reach(until: end)
            session = running
        }
        let (token, expires): (SessionToken, Int64?)
        do throws(LockerError) {
            (token, expires) = try access.token()
        } catch {
            throw TowerFault(.away, error.message)
        }
        lastOpened = nil
        do throws(TowerFault) {
            try running.begin(token, at: access.now(), until: end)
        } catch {
            // Attributes that have moved take a packet and answer nothing.
            if error.kind == .late || error.kind == .dishonest { attributes = nil }
            throw error
        }
        sessionEnds = expires
        renewsAt = expires.map { $0 - Limits.sessionReserve }
        context.debug("\(name): a session")
    }

    /// Whether the session is to be begun anew: with a key whenever it ends soon, with a token where there is a newer one.
    private var isSessionEnding: Bool {
        guard let renewsAt, renewsAt <= access.now() else { return false }
        if case .keys = plan.access { return true }
        self.renewsAt = access.now() + Limits.tokenPause
        guard let next = try? access.token().expires, let sessionEnds else { return false }
        return next > sessionEnds
    }

    private func reach(until end: ContinuousClock.Instant) throws(TowerFault) -> TowerSession {
        let socket: BLESocket
        do throws(BLEFault) {
            socket = try BLESocket(plan.address, from: try adapter())
            // Before it is connected: whoever stops this does not wait for a tower that is far away.
            live.withLock { $0 = socket }
            try socket.finish(until: min(end, ContinuousClock.now + Limits.connect))
        } catch {
            throw TowerFault(error)
        }
        do throws(TowerFault) {
            let made = try TowerSession(
                socket, isAlive: { socket.isAlive }, known: attributes, until: end)
            if attributes == nil {
                let found = try made.tower(until: end)
                guard found == plan.tower else {
                    throw TowerFault(.away, "it says that it is tower \(found)")
                }
            }
            attributes = made.attributes
            return made
        } catch {
            // Its firmware may be another one by now.
            attributes = nil
            throw error
        }
    }

    private func adapter() throws(BLEFault) -> BLEAddress? {
        guard let name = plan.adapter else { return nil }
        guard let found = try Adapter.all().first(where: { $0.name == name }) else {
            throw .noAdapter("there is no adapter \(name)")
        }
        guard found.isUp else {
            // A stick that was plugged in again is off; where the rights are missing, somebody else has to switch it on.
            found.powerOnSoon()
            throw .noAdapter("\(name) is off")
        }
        return found.address
    }

    private func disconnect() {
        session = nil
        lastOpened = nil
        live.withLock { $0 = nil }
    }

    /// Gives the connection back once nobody has used it for a while.
    private func watchForIdleness() {
        commands += 1
        let (seen, end) = (commands, context.clock.now + plan.idle)
        Task { [weak self, clock = context.clock] in
            try? await clock.sleep(until: end, tolerance: nil)
            await self?.disconnect(ifStillAt: seen)
        }
    }

    private func disconnect(ifStillAt seen: Int) {
        guard seen == commands, !isBusy, session != nil else { return }
        context.debug("\(name): idle, disconnected")
        disconnect()
    }
}
