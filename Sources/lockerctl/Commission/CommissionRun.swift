import ControlClient
import JSONLines
import SiteConfig
import SiteModel

/// Fires the locks of one controller in turn and looks which sensors move.
@MainActor
struct CommissionRun {
    /// How often the doors are looked at while a lock fires.
    private static let look: Duration = .milliseconds(40)
    /// How long the doors are looked at after an open is over: a second door on the same wire may be slower than the first.
    private static let linger: Duration = .seconds(1)
    /// How often an open that has to wait for its coil is asked for again.
    private static let tries = 5

    let session: Session
    let controller: ControllerPlan
    /// The ids of the link's controllers: a sensor may be wired to its neighbour.
    let neighbours: Set<String>
    /// Nobody is asked; what only a person can see stays open.
    let isAlone: Bool
    /// How long a door may take to be closed again.
    let closeWithin: Duration
    let ask: (String) -> Bool
    /// Doors that stayed open after their lock was fired: when somebody closes them says nothing about other locks.
    private let leftOpen = Doors()

    /// The doors of the link by address, those that can be trusted.
    private func doors() async throws(Failure) -> [String: Door] {
        let status = try await session.attempt { client throws(ControlError) in
            try await client.status(
                StatusScope(controller: neighbours.count > 1 ? nil : controller.id))
        }
        return Dictionary(
            status.lockers.filter {
                $0.quality == .good && !leftOpen.addresses.contains($0.address)
                    && neighbours.contains(Self.controller(of: $0.address))
            }.map { ($0.address, $0.door) },
            uniquingKeysWith: { first, _ in first })
    }

    /// One lock: looks, fires, looks again.
    func observe(_ locker: LockerPlan) async throws(Failure) -> Observation {
        let address = "\(controller.id)/\(locker.number)"
        let before = try await doors()
        let watch = Watch(before)
        let fired = Task { () -> Result<OperationResult, Failure> in
            do throws(Failure) {
                return .success(try await fire(locker, watch))
            } catch {
                return .failure(error)
            }
        }
        let isOver = Flag()
        Task {
            _ = await fired.value
            isOver.raise()
        }
        while !isOver.isRaised {
            watch.note(try await doors())
            try? await Task.sleep(for: Self.look)
        }
        let end = ContinuousClock.now + Self.linger
        while ContinuousClock.now < end {
            watch.note(try await doors())
            try? await Task.sleep(for: Self.look * 3)
        }
        let (result, refusal, trouble) = try told(await fired.value, address)
        var observation = Observation(
            address: address, number: locker.number, hasSensor: locker.hasSensor,
            before: leftOpen.addresses.contains(address) ? .open : before[address] ?? .unknown,
            result: result, refusal: refusal, trouble: trouble,
            moves: own(watch.moves))
        if !isAlone, observation.moves.isEmpty, refusal == nil,
            result?.outcome != .opened, result?.outcome != .openedLate
        {
            observation.doorOpened = ask("Did the door of \(address) open?")
        }
        return observation
    }

    /// What the daemon says of the open: its result, or why it was not fired, or what went wrong although it was.
    private func told(
        _ outcome: Result<OperationResult, Failure>, _ address: String
    ) throws(Failure) -> (result: LockerResult?, refusal: String?, trouble: String?) {
        switch outcome {
        case .success(let operation):
            let result = operation.results.first
            guard let fault = result?.fault else { return (result, nil, nil) }
            if fault.code == "OUTPUT_STUCK" {
                throw Failure(
                    .failed,
                    "\(address): its coil may be on still: \(fault.message); cut the supply; nothing more is fired"
                )
            }
            let mayHaveFired = fault.fired == .yes || fault.fired == .unknown
            return mayHaveFired ? (result, nil, fault.message) : (result, fault.message, nil)
        case .failure(let failure):
            // What the daemon refuses of one lock says nothing about the next one.
            guard failure.status == .failed, let message = failure.message else { throw failure }
            return (nil, message, nil)
        }
    }

    private static func controller(of address: String) -> String {
        address.lastIndex(of: "/").map { String(address[..<$0]) } ?? address
    }

    /// The moves that its lock may have made: those of other controllers only where none of its own moved, for those are in use.
    private func own(_ moves: [Observation.Move]) -> [Observation.Move] {
        let own = moves.filter { Self.controller(of: $0.address) == controller.id }
        return own.isEmpty ? moves : own
    }

    /// Waits until the doors that moved are as they were before.
    func waitUntilClosed(_ observation: Observation) async throws(Failure) -> Bool {
        let moved = observation.moves
        guard !moved.isEmpty else { return true }
        if !isAlone {
            Output.error("Close the door that opened.")
        }
        let end = ContinuousClock.now + closeWithin
        while ContinuousClock.now < end {
            let now = try await doors()
            // Whatever a sensor said when its door opened, it has to say the other when the door is closed.
            if moved.allSatisfy({ now[$0.address] == ($0.door == .open ? .closed : .open) }) {
                return true
            }
            try? await Task.sleep(for: .milliseconds(100))
        }
        leftOpen.addresses.formUnion(moved.map(\.address))
        return false
    }

    private func fire(_ locker: LockerPlan, _ watch: Watch) async throws(Failure) -> OperationResult
    {
        var tries = 1
        while true {
            do throws(ControlError) {
                return try await session.client.open(
                    OpenCommand(
                        LockerSelector("\(controller.id)/\(locker.number)"),
                        terms: OpenTerms(reason: "commission"), isMaintenance: true))
            } catch .refused(let fault)
                where fault.code == "DUTY_LIMIT" && fault.retryAfterMs != nil && tries < Self.tries
            {
                tries += 1
                Output.error(
                    "\(controller.id)/\(locker.number) has to cool down for \(Int(fault.retryAfterMs ?? 0)) ms"
                )
                try? await Task.sleep(for: .milliseconds(Int(fault.retryAfterMs ?? 0) + 10))
                watch.restart(from: try await doors())
            } catch {
                throw Failure(session.explain(error).status, session.explain(error).message)
            }
        }
    }

    /// What the doors have said since a beginning.
    private final class Watch {
        private var before: [String: Door]
        private var beganAt = ContinuousClock.now
        private(set) var moves: [Observation.Move] = []

        init(_ before: [String: Door]) { self.before = before }

        /// What moved before the lock was fired was moved by somebody else.
        func restart(from now: [String: Door]) {
            before = now
            beganAt = .now
            moves = []
        }

        func note(_ now: [String: Door]) {
            let after = beganAt.duration(to: .now) / .milliseconds(1)
            for (address, door) in now.sorted(by: { $0.key < $1.key })
            where door != before[address] && door != .unknown
                && before[address] != nil && before[address] != .unknown
                && !moves.contains(where: { $0.address == address })
            {
                moves.append(Observation.Move(address: address, door: door, afterMs: after))
            }
        }
    }

    private final class Doors {
        var addresses: Set<String> = []
    }

    /// Something that happens once, on the main thread.
    private final class Flag {
        private(set) var isRaised = false
        func raise() { isRaised = true }
    }
}
