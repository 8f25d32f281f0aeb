import JSONLines
import Locks
import Logging
import ModuleWire

/// The calls of a driver module, carried out by a ``LockDriver``.
final class DriverService<Driver: LockDriver>: ModuleService {
    private struct State {
        var controllers: [String: any LockController] = [:]
        /// Those whose `start` was called since their last `stop`, whether or not it worked.
        var started: Set<String> = []
    }

    private let state = Mutex(State())
    private let surroundings: ModuleSurroundings

    init(_ surroundings: ModuleSurroundings) {
        self.surroundings = surroundings
    }

    var kind: String { "driver" }
    var name: String { Driver.name }
    var version: String { Driver.version }
    var methods: Set<ModuleMethod> { [.configure, .start, .open, .doors, .stop, .act] }

    func call(
        _ method: ModuleMethod, _ params: JSON, readAt: ContinuousClock.Instant
    ) async throws(ErrorData) -> JSON {
        do {
            switch method {
            case .configure: return try configure(ConfigureDriverParams(json: params))
            case .start: try await start(ControllerParams(json: params).controller)
            case .open: return try await open(OpenParams(json: params), readAt)
            case .doors: return try await doors(ControllerParams(json: params).controller)
            case .act: return try await act(ActParams(json: params))
            case .stop: try await stop(ControllerParams(json: params).controller)
            case .hello, .cancel, .ping, .deliver: break
            }
            return [:]
        } catch let error as LockerError {
            throw error.wire
        } catch let error as WireError {
            throw ErrorData(params: error)
        } catch {
            throw LockerError(.internal, "\(error)", fired: .unknown, sent: .maybe).wire
        }
    }

    func stop() async {
        let started = state.withLock { state in
            defer { state.started = [] }
            return state.controllers.filter { state.started.contains($0.key) }
        }
        await withTaskGroup(of: Void.self) { group in
            for (id, controller) in started {
                group.addTask { await self.stop(controller, id) }
            }
        }
    }

    private func stop(_ controller: any LockController, _ id: String) async {
        do throws(LockerError) {
            try await controller.stop()
        } catch {
            surroundings.logger.error(
                "controller \(id) was not stopped: \(error.message)",
                metadata: ["controller": "\(id)", "code": "\(error.code.rawValue)"])
        }
    }
}

// MARK: One call each

extension DriverService {
    private func configure(_ params: ConfigureDriverParams) throws(LockerError) -> JSON {
        let link = LinkDescription(params)
        let wanted = Set(link.controllers.map(\.id))
        guard wanted.count == link.controllers.count else {
            throw LockerError(.invalidRequest, "two controllers of \(link.name) have one id")
        }
        let made = try Driver.makeControllers(for: link, context: context(link.name))
        guard Set(made.keys) == wanted else {
            throw LockerError(
                .internal,
                "\(Driver.name) made controllers \(made.keys.sorted()); want \(wanted.sorted())")
        }
        state.withLock { $0.controllers = made }
        let controllers = link.controllers.compactMap { description in
            made[description.id].map {
                ConfigureDriverResult.Controller(
                    id: description.id, capabilities: $0.capabilities.wire)
            }
        }
        return ConfigureDriverResult(
            controllers: controllers, remarks: Driver.remarks(on: link)
        ).json
    }

    private func context(_ link: String) -> DriverContext {
        let (clock, output) = (surroundings.clock, surroundings.output)
        return DriverContext(
            link: link, clock: clock, logger: surroundings.logger,
            report: { controller, doors in
                let now = clock.now
                let params = DoorsParams(
                    controller: controller, doors: doors.map { $0.wire(now: now) })
                output.notify(.doors, params.json)
            })
    }

    private func start(_ id: String) async throws(LockerError) {
        let controller = try controller(id)
        state.withLock { _ = $0.started.insert(id) }
        try await controller.start()
    }

    private func open(
        _ params: OpenParams, _ readAt: ContinuousClock.Instant
    ) async throws(LockerError) -> JSON {
        let controller = try startedController(params.controller)
        return try await controller.open(OpenCommand(params, readAt: readAt)).wire.json
    }

    private func act(_ params: ActParams) async throws -> JSON {
        let action = try DeviceAction(params)
        let controller = try startedController(params.controller)
        guard let controller = controller as? any ActingController,
            controller.capabilities.actions.contains(action.name)
        else {
            throw LockerError(
                .invalidRequest,
                "controller \"\(params.controller)\" has no action \(params.action)")
        }
        return try await controller.perform(action).wire
    }

    private func doors(_ id: String) async throws(LockerError) -> JSON {
        let readings = try await startedController(id).readDoors()
        let now = surroundings.clock.now
        return DoorsResult(doors: readings.map { $0.wire(now: now) }).json
    }

    private func stop(_ id: String) async throws(LockerError) {
        try await controller(id).stop()
        state.withLock { _ = $0.started.remove(id) }
    }

    private func controller(_ id: String) throws(LockerError) -> any LockController {
        guard let controller = state.withLock({ $0.controllers[id] }) else {
            throw LockerError(.unknownController, "no controller \"\(id)\" on this link")
        }
        return controller
    }

    private func startedController(_ id: String) throws(LockerError) -> any LockController {
        let controller = try controller(id)
        guard state.withLock({ $0.started.contains(id) }) else {
            throw LockerError(.invalidRequest, "controller \"\(id)\" has not been started")
        }
        return controller
    }
}
