import JSONLines
import LockerKit
import ModuleWire

/// A controller that lives in a module process.
///
/// It belongs to one process: when that has ended, every call throws ``LockerError/Code/linkDown`` for good, and the next
/// process brings controllers of its own.
final class RemoteLockController: ActingController {
    let id: String
    let capabilities: Capabilities

    private let connection: ModuleConnection
    private let clock: any MonotonicClock
    /// Beyond the pulse that was asked for.
    private let openLimit: Duration

    init(
        id: String, capabilities: Capabilities, connection: ModuleConnection,
        clock: any MonotonicClock, openLimit: Duration = ModuleDeadlines.openBeyondPulse
    ) {
        self.openLimit = openLimit
        self.id = id
        self.capabilities = capabilities
        self.connection = connection
        self.clock = clock
    }

    func start() async throws(LockerError) {
        _ = try await connection.call(
            .start, ControllerParams(controller: id).json, within: ModuleDeadlines.start)
    }

    func open(_ command: OpenCommand) async throws(LockerError) -> OpenReport {
        let now = clock.now
        // A module that was written before there were deadlines would fire all the same.
        try command.checkDeadline(at: now)
        let params = command.wire(controller: id, now: now)
        let reply = try await connection.call(
            .open, params.json, within: command.pulse + openLimit)
        do throws(WireError) {
            return try OpenReport(OpenResult(json: reply), asked: command.pulse)
        } catch {
            throw wrong(.open, error, fired: .unknown, sent: .maybe)
        }
    }

    func readDoors() async throws(LockerError) -> [DoorReading] {
        let reply = try await connection.call(
            .doors, ControllerParams(controller: id).json, within: ModuleDeadlines.doors)
        let now = clock.now
        do throws(WireError) {
            return try DoorsResult(json: reply).doors.map { data throws(WireError) in
                try DoorReading(data, now: now)
            }
        } catch {
            throw wrong(.doors, error, fired: .no, sent: .yes)
        }
    }

    func perform(_ action: DeviceAction) async throws(LockerError) -> DeviceAnswer {
        guard capabilities.actions.contains(action.name) else {
            throw LockerError(.invalidRequest, "\(id) cannot do that: \(action.name.rawValue)")
        }
        let reply = try await connection.call(
            .act, action.wire(controller: id).json, within: ModuleDeadlines.act)
        do throws(WireError) {
            return try DeviceAnswer(reply, to: action)
        } catch {
            throw wrong(.act, error, fired: .no, sent: .yes)
        }
    }

    func stop() async throws(LockerError) {
        try await Self.stop(id, by: connection)
    }

    static func stop(_ id: String, by connection: ModuleConnection) async throws(LockerError) {
        _ = try await connection.call(
            .stop, ControllerParams(controller: id).json, within: ModuleDeadlines.stop)
    }

    private func wrong(
        _ method: ModuleMethod, _ error: WireError, fired: LockerError.Fired, sent: LockerError.Sent
    ) -> LockerError {
        LockerError(
            .internal,
            "\(connection.title) answered \(method.rawValue) wrongly: \(LogLines.printable(error.description))",
            fired: fired, sent: sent)
    }
}
