import JSONLines
import LockerKit
import LockerKitTesting
import Locks
import Logging
import SimulatorDriver
import Testing

/// A simulated link on a clock that the test turns.
final class Bench: Sendable {
    let clock = ManualClock()
    let log = LogRecorder()
    let controller: SimulatedController
    private let kept: Kept

    /// What the driver did beside answering.
    final class Kept: Sendable {
        struct Push: Equatable {
            let controller: String
            let locker: Int
            let door: DoorState
        }

        private let state = Mutex<(pushes: [Push], disasters: [String])>(([], []))

        var pushes: [Push] { state.withLock { $0.pushes } }
        var disasters: [String] { state.withLock { $0.disasters } }
        func add(_ push: Push) { state.withLock { $0.pushes.append(push) } }
        func add(_ disaster: String) { state.withLock { $0.disasters.append(disaster) } }
    }

    /// Four lockers: 1 and 2 are regular, 3 has `locker` options, 4 has no sensor.
    init(link: JSONObject = JSONObject(), locker: JSONObject = JSONObject()) throws {
        let kept = Kept()
        self.kept = kept
        let context = DriverContext(
            link: "yard", clock: clock, logger: log.logger,
            report: { controller, doors in
                for door in doors {
                    kept.add(
                        Kept.Push(
                            controller: controller, locker: door.locker, door: door.door.value))
                }
            })
        let description = LinkDescription(
            name: "yard", options: Options(link, path: "link."),
            controllers: [
                ControllerDescription(
                    id: "wall", options: Options(), lockers: Self.lockers(Options(locker)))
            ])
        let made = try SimulatorDriver.makeControllers(
            for: description, context: context,
            disaster: Disaster(crash: { kept.add("crash") }, hang: { kept.add("hang") }))
        controller = try #require(made["wall"])
    }

    static func lockers(_ options: Options = Options()) -> [LockerDescription] {
        [
            LockerDescription(number: 1), LockerDescription(number: 2),
            LockerDescription(number: 3, options: options),
            LockerDescription(number: 4, hasSensor: false),
        ]
    }

    var pushes: [Kept.Push] { kept.pushes }
    var disasters: [String] { kept.disasters }

    func open(_ number: Int) async throws(LockerError) -> OpenReport {
        try await controller.open(OpenCommand(locker: number, pulse: .milliseconds(200)))
    }

    func door(_ number: Int) async throws -> DoorState? {
        try await controller.readDoors().first { $0.locker == number }?.door.value
    }

    /// The error of a call that must fail.
    func failure<Value>(
        _ body: () async throws(LockerError) -> Value
    ) async -> LockerError? {
        do throws(LockerError) {
            _ = try await body()
            return nil
        } catch {
            return error
        }
    }
}
