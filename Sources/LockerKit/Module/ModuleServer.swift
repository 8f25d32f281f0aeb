import CPosixShim
import Dispatch
import Glibc
import JSONLines
import Locks
import Logging
import ModuleWire

/// The module's side of the protocol over two descriptors: everything but what the process as a whole does.
final class ModuleServer: Sendable {
    /// Calls that may run at once: one of the ordinary kind, and pings and stops beside it.
    static let callLimit = 64
    /// How long a core that sends requests may leave the replies unread.
    static let unreadLimit = DispatchTimeInterval.seconds(1)
    /// How long cancelled calls are given to switch their coils off themselves before everything is stopped.
    static let cancelGrace: Duration = .milliseconds(500)

    private struct Running {
        let task: Task<Void, Never>
        let method: ModuleMethod
        let controller: String?
    }

    private struct State {
        var isGreeted = false
        var isConfigured = false
        var isEnding = false
        var running: [Int64: Running] = [:]
        /// Calls that have left `running` and whose replies are not handed over yet.
        var answering = 0

        var isIdle: Bool { running.isEmpty && answering == 0 }
    }

    private let state = Mutex(State())
    private let service: any ModuleService
    private let output: ModuleOutput
    private let level: LogThreshold
    private let input: ModuleInput

    init(
        input: ModuleInput, output: ModuleOutput, level: LogThreshold, service: any ModuleService
    ) {
        self.input = input
        self.output = output
        self.level = level
        self.service = service
    }

    /// Serves until nothing more can come, and says why. Calls may still be running then.
    ///
    /// `noteEnd` runs first of all once that is so, on a thread that no call can hold: whoever waits for the end may wait for
    /// ever where calls have taken all the threads of the pool.
    func serve(noteEnd: @escaping @Sendable () -> Void = {}) async -> ModuleInput.Ending {
        await withCheckedContinuation { continuation in
            let isStarted = startThread {
                // This thread lives as long as the process is of use, which the pool's threads need not.
                lkd_unblock_termination()
                let ending = self.input.read { line in
                    self.take(line)
                    return self.output.waitForRoom(within: Self.unreadLimit)
                }
                noteEnd()
                if ending == .overlong {
                    let limit = ModuleProtocol.lineLimit
                    self.output.reply(
                        ModuleMessage.Problem(
                            rpcCode: ErrorData.invalidRequest,
                            "a line is longer than \(limit) bytes"
                        ).reply)
                }
                continuation.resume(returning: ending)
            }
            if !isStarted {
                noteEnd()
                continuation.resume(returning: .failed(errno: EAGAIN))
            }
        }
    }

    /// Cancels what runs, gives it a moment, then stops the service.
    func shutDown() async {
        let tasks = state.withLock { state in
            state.isEnding = true
            return state.running.values.map(\.task)
        }
        for task in tasks { task.cancel() }
        let clock = ContinuousClock()
        let deadline = clock.now + Self.cancelGrace
        while state.withLock({ !$0.isIdle }), clock.now < deadline {
            try? await clock.sleep(for: .milliseconds(2))
        }
        await service.stop()
    }
}

// MARK: One line

extension ModuleServer {
    private func take(_ line: UnsafeRawBufferPointer) {
        let message: ModuleMessage
        do throws(ModuleMessage.Problem) {
            message = try ModuleMessage(line: line)
        } catch {
            return output.reply(error.reply)
        }
        // A module asks nothing, so replies answer nothing; and no notification of the core is known yet.
        guard case .request(let id, let method, let params) = message else { return }
        do throws(ErrorData) {
            try take(id, method, params)
        } catch {
            output.reply(.failure(id: id, error))
        }
    }

    private func take(_ id: Int64, _ name: String, _ params: JSON) throws(ErrorData) {
        guard let method = ModuleMethod(rawValue: name), knows(method) else {
            let shown = name.count > 40 ? "\(name.prefix(40))…" : name
            throw ErrorData(rpcCode: ErrorData.unknownMethod, message: "no method \"\(shown)\"")
        }
        switch method {
        case .hello: output.reply(.result(id: id, try greet(params)))
        case .cancel: output.reply(.result(id: id, try cancel(params)))
        default: try run(id, method, params)
        }
    }

    private func knows(_ method: ModuleMethod) -> Bool {
        [.hello, .ping, .cancel].contains(method) || service.methods.contains(method)
    }

    private func greet(_ params: JSON) throws(ErrorData) -> JSON {
        let hello: HelloParams
        do throws(WireError) {
            hello = try HelloParams(json: params)
        } catch {
            throw ErrorData(params: error)
        }
        guard hello.version.major == ModuleProtocol.major else {
            throw refusal(
                "\(service.name) speaks module protocol \(ModuleProtocol.major); "
                    + "\(hello.daemon) speaks \(hello.version.major)")
        }
        guard hello.kind == service.kind else {
            throw refusal("\(service.name) is a \(service.kind) module; want \(hello.kind)")
        }
        if let wanted = hello.logLevel.flatMap(Logger.Level.init(rawValue:)) { level.set(wanted) }
        state.withLock { $0.isGreeted = true }
        return HelloResult(module: service.name, moduleVersion: service.version).json
    }

    private func cancel(_ params: JSON) throws(ErrorData) -> JSON {
        do throws(WireError) {
            let id = try CancelParams(json: params).id
            state.withLock { $0.running[id]?.task }?.cancel()
            return [:]
        } catch {
            throw ErrorData(params: error)
        }
    }

    private func refusal(
        _ message: String, _ code: LockerError.Code = .invalidRequest
    ) -> ErrorData {
        LockerError(code, message).wire
    }
}

// MARK: Calls

extension ModuleServer {
    private func run(_ id: Int64, _ method: ModuleMethod, _ params: JSON) throws(ErrorData) {
        let readAt = ContinuousClock.now
        let outcome = state.withLock { state -> Result<Void, ErrorData> in
            if let problem = problem(id, method, state) { return .failure(problem) }
            let controller = params["controller"]?.stringValue
            if method == .stop {
                // An open that is under way must not fire after its controller has been stopped.
                for call in state.running.values
                where call.method == .open && call.controller == controller {
                    call.task.cancel()
                }
            }
            if method == .configure { state.isConfigured = true }
            let task = Task { await self.carryOut(id, method, params, readAt) }
            state.running[id] = Running(task: task, method: method, controller: controller)
            return .success(())
        }
        try outcome.get()
    }

    private func problem(_ id: Int64, _ method: ModuleMethod, _ state: State) -> ErrorData? {
        guard !state.isEnding else { return refusal("the module is ending", .busy) }
        guard state.isGreeted else { return refusal("\(method) came before hello") }
        guard state.running[id] == nil else {
            return ErrorData(
                rpcCode: ErrorData.invalidRequest, message: "id \(id) is that of a running call")
        }
        guard state.running.count < Self.callLimit else {
            return refusal("\(Self.callLimit) calls are running", .busy)
        }
        if method == .ping { return nil }
        guard state.isConfigured || method == .configure else {
            return refusal("\(method) came before configure")
        }
        guard !state.isConfigured || method != .configure else {
            return refusal("configure came a second time")
        }
        if method != .stop,
            let other = state.running.first(where: { ![.ping, .stop].contains($0.value.method) })
        {
            return refusal("\(other.value.method) with id \(other.key) is still running", .busy)
        }
        return nil
    }

    private func carryOut(
        _ id: Int64, _ method: ModuleMethod, _ params: JSON, _ readAt: ContinuousClock.Instant
    ) async {
        let reply: ModuleMessage
        do throws(ErrorData) {
            reply = .result(
                id: id,
                method == .ping ? [:] : try await service.call(method, params, readAt: readAt))
        } catch {
            reply = .failure(id: id, error)
            // Options that were refused may be followed by better ones.
            if method == .configure { state.withLock { $0.isConfigured = false } }
        }
        // First the slot, then the reply: the next call may follow the reply at once.
        state.withLock { state in
            state.running[id] = nil
            state.answering += 1
        }
        output.reply(reply)
        state.withLock { $0.answering -= 1 }
    }
}
