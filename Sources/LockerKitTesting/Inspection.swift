import LockerKit
import Locks

/// One check of the ``DriverChecklist``: calls a controller while time passes, and notes what is wrong.
final class Inspection: Sendable {
    /// A call that does not end within this many ticks hangs.
    static let tickLimit = 3000
    /// Must never appear in an error's text.
    static let secret = "payload-0f3d-that-is-nobodys-business"

    /// A call that runs beside the check.
    final class Call<Value: Sendable>: Sendable {
        private let outcome = Mutex<Result<Value, LockerError>?>(nil)
        private let task: Mutex<Task<Void, Never>?>

        init(_ body: @escaping @Sendable () async -> Result<Value, LockerError>) {
            task = Mutex(nil)
            let running = Task { [weak self] in
                let result = await body()
                self?.outcome.withLock { $0 = result }
            }
            task.withLock { $0 = running }
        }

        var result: Result<Value, LockerError>? { outcome.withLock { $0 } }
        func cancel() { task.withLock { $0 }?.cancel() }
    }

    /// A call that did not come back.
    struct Hang: Error, CustomStringConvertible {
        let description = "a call did not return"
    }

    let fixture: DriverFixture
    private let found = Mutex<[String]>([])

    init(_ fixture: DriverFixture) {
        self.fixture = fixture
    }

    var violations: [String] { found.withLock { $0 } }

    func note(_ violation: String) { found.withLock { $0.append(violation) } }

    func expect(_ condition: Bool, _ violation: @autoclosure () -> String) {
        if !condition { note(violation()) }
    }

    // MARK: Calls

    func controller() async throws -> any LockController { try await fixture.makeController() }

    func startedController() async throws -> any LockController {
        let controller = try await controller()
        try await start(controller)
        return controller
    }

    func start(_ controller: any LockController) async throws {
        try await finish(
            Call {
                await Self.result { () async throws(LockerError) in try await controller.start() }
            })
    }

    func stop(_ controller: any LockController) async throws {
        try await finish(
            Call {
                await Self.result { () async throws(LockerError) in try await controller.stop() }
            })
    }

    func readDoors(_ controller: any LockController) async throws(LockerError) -> [DoorReading] {
        try await finish(
            Call {
                await Self.result { () async throws(LockerError) in try await controller.readDoors()
                }
            })
    }

    func open(
        _ controller: any LockController, _ locker: Int,
        deadline: ContinuousClock.Instant? = nil
    ) async throws(LockerError) -> OpenReport {
        try await finish(beginOpen(controller, locker, deadline: deadline))
    }

    func beginOpen(
        _ controller: any LockController, _ locker: Int,
        deadline: ContinuousClock.Instant? = nil
    ) -> Call<OpenReport> {
        let command = OpenCommand(
            locker: locker, pulse: fixture.pulse,
            token: OpenToken(payload: Self.secret, payloadAuth: Self.secret), deadline: deadline)
        return Call {
            await Self.result { () async throws(LockerError) in try await controller.open(command) }
        }
    }

    /// Lets time pass until the call has ended; `look` comes once in each turn.
    func drive<Value>(
        _ call: Call<Value>, _ look: () async -> Void = {}
    ) async throws(Hang) -> Result<Value, LockerError> {
        for _ in 0..<Self.tickLimit {
            // A call that needs no time ends without any.
            for _ in 0..<10 {
                if let result = call.result {
                    if case .failure(let error) = result { judge(error) }
                    return result
                }
                await Task.yield()
            }
            await look()
            await fixture.tick()
        }
        call.cancel()
        throw Hang()
    }

    @discardableResult
    private func finish<Value>(_ call: Call<Value>) async throws(LockerError) -> Value {
        let result: Result<Value, LockerError>
        do throws(Hang) {
            result = try await drive(call)
        } catch {
            throw LockerError(.internal, error.description)
        }
        return try result.get()
    }

    /// Lets time pass until the locker's coil is seen on, or the call has ended.
    func waitForCoil(_ locker: Int, of call: Call<OpenReport>) async -> Bool {
        for _ in 0..<Self.tickLimit {
            for _ in 0..<10 {
                if await fixture.energised().contains(locker) { return true }
                if call.result != nil { return false }
                await Task.yield()
            }
            await fixture.tick()
        }
        return false
    }

    /// Tries for a while to read the doors of a device that came back.
    func readsAgain(_ controller: any LockController) async throws -> Bool {
        for _ in 0..<Self.tickLimit {
            let call = Call {
                await Self.result { () async throws(LockerError) in try await controller.readDoors()
                }
            }
            if case .success = try await drive(call) { return true }
            await fixture.tick()
        }
        return false
    }

    /// Checks that nothing was energised by an open that must not happen, neither while it ran nor after it.
    func expectNothingEnergised(
        _ controller: any LockController, _ locker: Int, _ what: String,
        deadline: ContinuousClock.Instant? = nil, _ judge: (LockerError?) -> Void
    ) async throws {
        var seen = Sightings()
        let call = beginOpen(controller, locker, deadline: deadline)
        switch try await drive(call, { await look(&seen) }) {
        case .success: judge(nil)
        case .failure(let error): judge(error)
        }
        await look(&seen)
        expect(seen.coils.isEmpty, "\(what) energised \(seen.coils.sorted())")
    }

    /// Where this computer times the pulse nothing may be on now; where the board does, nothing once the pulse is over.
    func expectReleased(by controller: any LockController, after what: String) async {
        var on = await fixture.energised()
        if controller.capabilities.pulseTiming == .board {
            let end = fixture.clock.now + fixture.pulse + fixture.tolerance
            while !on.isEmpty, fixture.clock.now < end {
                await fixture.tick()
                on = await fixture.energised()
            }
        }
        expect(on.isEmpty, "after \(what) the coils \(on.sorted()) are on")
    }

    private func judge(_ error: LockerError) {
        expect(
            error.code.isForDrivers, "\(error.code.rawValue) is not a driver's error code")
        expect(!error.message.isEmpty, "\(error.code.rawValue) comes without a message")
        expect(
            !error.message.contains(Self.secret), "\(error.code.rawValue) gives away the token")
        expect(
            !error.message.hasSuffix("."),
            "\(error.code.rawValue) ends with a full stop: \(error.message)")
    }

    private static func result<Value: Sendable>(
        _ body: () async throws(LockerError) -> Value
    ) async -> Result<Value, LockerError> {
        do throws(LockerError) {
            return .success(try await body())
        } catch {
            return .failure(error)
        }
    }
}
