import Heartbeat
import JSONLines
import LockerKit
import Locks
import SiteModel

@testable import LockerCore

/// A core without links: a snapshot and an event log that a test writes to.
final class StandInCore: BeatSource {
    let name = "depot-17"
    let bootID = "boot-1"
    let snapshot = Snapshot()
    let events = EventLog(wallClock: { WallTime(milliseconds: 0) })
    private let operations = Mutex<[String: OperationView]>([:])
    private let silence = Mutex<AsyncStream<Void>?>(nil)

    /// From now on `ping` returns only once `release` is called.
    func fallSilent() -> @Sendable () -> Void {
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self)
        silence.withLock { $0 = stream }
        return {
            self.silence.withLock { $0 = nil }
            continuation.finish()
        }
    }

    func ping() async {
        guard let stream = silence.withLock({ $0 }) else { return }
        await withCheckedContinuation { done in
            // Like a hung actor, this does not end because somebody cancels.
            Task.detached {
                for await _ in stream {}
                done.resume()
            }
        }
    }

    func operation(_ id: String) async throws(LockerError) -> OperationView {
        guard let view = operations.withLock({ $0[id] }) else {
            throw LockerError(.unknownOperation, "no operation \(id)")
        }
        return view
    }

    func add(controller id: String, lockers: [LockerView] = []) {
        let view = ControllerView(
            id: id, driver: "modbus", link: id, bank: nil, lockers: lockers.count,
            since: WallTime(milliseconds: 0))
        let before = snapshot.read { $0.controllers.map(\.view) }
        snapshot.replace(lockers: lockers, controllers: before + [view], keepingLinks: [])
    }

    func set(_ id: String, _ state: ControllerState) {
        snapshot.update(controller: id) { $0.state = state }
        events.append(.controllerState(controller: id, state: state, reason: nil))
        if let health = snapshot.refreshHealth() { events.append(.healthChanged(health)) }
    }

    func finishOpen(_ ending: LockerResult.Ending) {
        events.append(
            .operationDone(
                operation: "op", kind: .open, scope: OperationScope(.open, []),
                result: result(ending), summary: OpenAllSummary()))
    }

    /// An `open-all` that the core still knows, or has forgotten.
    func finishOpenAll(_ id: String, _ endings: [LockerResult.Ending], isKnown: Bool = true) {
        let results = endings.map(result)
        if isKnown {
            let view = OperationView(
                id: id, kind: .openAll, acceptedAt: WallTime(milliseconds: 0), lockers: [],
                state: .done, results: results)
            operations.withLock { $0[id] = view }
        }
        events.append(
            .operationDone(
                operation: id, kind: .openAll, scope: OperationScope(.openAll, []), result: nil,
                summary: OpenAllSummary(results)))
    }

    private func result(_ ending: LockerResult.Ending) -> LockerResult {
        LockerResult(locker: LockerIdentity(id: 1, address: "wall/1"), ending: ending)
    }
}

extension LockerResult.Ending {
    static func opens(_ outcome: Outcome) -> Self {
        .outcome(outcome, evidence: .none, door: .unknown, timing: OpenTiming())
    }

    static let fails = Self.failed(LockerError(.linkDown, "gone"))
}

/// An upstream whose answers a test gives one by one.
final class StandInSink: BeatSink {
    /// One delivery that waits for its answer.
    struct Delivery: Sendable {
        let beat: JSON
        let answer: @Sendable (LockerError?) -> Void

        func succeed() { answer(nil) }
        func fail(_ message: String = "cannot connect") {
            answer(LockerError(.linkDown, message))
        }

        var seq: Int { beat["seq"]?.intValue ?? 0 }
        func opens(_ name: String) -> Int? { beat["opens"]?[name]?.intValue }
    }

    let name: String
    private let total = Mutex(0)
    private let deliveries: AsyncStream<Delivery>
    private let arrival: AsyncStream<Delivery>.Continuation

    init(name: String = "http") {
        self.name = name
        (deliveries, arrival) = AsyncStream.makeStream()
    }

    func deliver(_ beat: String) async throws(LockerError) {
        total.withLock { $0 += 1 }
        let beat = (try? JSONReader.parse(beat)) ?? .null
        let (answers, answer) = AsyncStream.makeStream(of: LockerError?.self)
        arrival.yield(Delivery(beat: beat) { answer.yield($0) })
        for await error in answers {
            if let error { throw error }
            return
        }
        throw LockerError(.cancelled, "the delivery was cancelled")
    }

    /// How many deliveries were asked for so far.
    var count: Int { total.withLock { $0 } }

    /// The next delivery; waits until there is one.
    func next() async -> Delivery {
        for await delivery in deliveries { return delivery }
        return Delivery(beat: .null) { _ in }
    }
}
