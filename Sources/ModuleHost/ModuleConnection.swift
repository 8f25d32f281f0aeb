import JSONLines
import LockerKit
import Locks
import ModuleWire
import NIOCore

/// The conversation with one module process: calls out, replies and notifications in.
///
/// Any thread may call. Calls go out one at a time, because that is promised to drivers; `stop`, `cancel` and `ping`
/// overtake. Every call that has gone out has a deadline, and one missed deadline ends the conversation. After a `stop`
/// nothing more goes to its controller until the next `start`.
final class ModuleConnection: Sendable {
    /// Why no more is said.
    enum Closing: Sendable, Equatable {
        /// The module closed its end.
        case endOfFile
        /// The module broke the protocol or missed a deadline; the clause goes after its name.
        case misbehaviour(String)
        /// The host wants the module to go.
        case retired
    }

    /// Who waits for a reply; nobody waits for the one to a `cancel`.
    private typealias Waiter = CheckedContinuation<Result<JSON, LockerError>, Never>

    private struct Call {
        let id: Int64
        let method: ModuleMethod
        let limit: Duration
        let line: [UInt8]
        let waiter: Waiter?
        /// Whom the call is about, where it is about one.
        var controller: String?
        var deadline: ContinuousClock.Instant?
    }

    private struct State {
        var nextID: Int64 = 1
        /// Gone out, not answered.
        var written: [Int64: Call] = [:]
        /// In order; go out one after the other.
        var waiting: [Call] = []
        /// The call that keeps those in `waiting` back.
        var exclusive: Int64?
        /// Controllers whose `stop` has gone out and no `start` since then.
        var stopping: Set<String> = []
        var watch: (until: ContinuousClock.Instant, task: Task<Void, Never>)?
        /// Why new calls are refused, once the conversation is over.
        var refusal: String?
        var channel: (any Channel)?
    }

    /// The module's name with the word `module` before it, for messages.
    let title: String
    /// Comes when the conversation is over.
    let closed = OneShot<Closing>()

    private let clock: any MonotonicClock
    private let state = Mutex(State())

    init(title: String, clock: any MonotonicClock) {
        self.title = title
        self.clock = clock
    }

    func attach(_ channel: any Channel) {
        state.withLock { $0.channel = channel }
    }

    /// Whether a channel has taken over the socket.
    var isAttached: Bool { state.withLock { $0.channel != nil } }

    // MARK: Calls

    /// Calls `method` and waits for its result.
    ///
    /// A task that is cancelled while the call waits for its turn leaves at once; one whose call has gone out asks the
    /// module to cancel it and still waits for what the module says. `stop` is never cancelled.
    func call(
        _ method: ModuleMethod, _ params: JSON, within limit: Duration
    ) async throws(LockerError) -> JSON {
        let id = state.withLock { state in
            defer { state.nextID += 1 }
            return state.nextID
        }
        let line = ModuleMessage.request(id: id, method: method.rawValue, params: params).line
        guard line.count - 1 <= ModuleProtocol.lineLimit else {
            throw LockerError(
                .invalidRequest,
                "\(method.rawValue) for \(title) takes \(line.count - 1) bytes; a line ends at \(ModuleProtocol.lineLimit)"
            )
        }
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { waiter in
                begin(
                    Call(
                        id: id, method: method, limit: limit, line: line, waiter: waiter,
                        controller: params["controller"]?.stringValue))
            }
        } onCancel: {
            if method != .stop { cancel(id) }
        }
        return try result.get()
    }

    private func begin(_ call: Call) {
        let refused = state.withLock { state -> [(Call, LockerError)] in
            if let refusal = refusal(of: call, state) { return [(call, refusal)] }
            guard call.method.overtakes || (state.exclusive == nil && state.waiting.isEmpty) else {
                state.waiting.append(call)
                return []
            }
            write(call, &state)
            return call.method == .stop ? takeCallsOfStopped(&state) : []
        }
        for (call, error) in refused { call.waiter?.resume(returning: .failure(error)) }
    }

    /// Why a call neither goes out nor waits for its turn.
    private func refusal(of call: Call, _ state: State) -> LockerError? {
        if let refusal = state.refusal { return LockerError(.linkDown, "\(title) \(refusal)") }
        // Whoever cancelled before this could not find the call yet.
        if call.method != .stop, Task.isCancelled { return Self.cancelledUnsent(call.method) }
        if let controller = call.controller, state.stopping.contains(controller),
            call.method == .open || call.method == .doors
        {
            return Self.isBeingStopped(controller)
        }
        guard call.method.overtakes || state.waiting.count < ModuleLimits.waitingCalls else {
            return LockerError(
                .busy, "\(title) has \(ModuleLimits.waitingCalls) calls waiting for it")
        }
        return nil
    }

    /// Takes out of the queue what would reach a controller after its `stop`.
    private func takeCallsOfStopped(_ state: inout State) -> [(Call, LockerError)] {
        let isStopped = { [stopping = state.stopping] (call: Call) in
            call.controller.map(stopping.contains) ?? false
        }
        let taken = state.waiting.filter(isStopped)
        state.waiting.removeAll(where: isStopped)
        return taken.map { ($0, Self.isBeingStopped($0.controller ?? "")) }
    }

    private static func isBeingStopped(_ controller: String) -> LockerError {
        LockerError(.linkDown, "controller \"\(controller)\" is being stopped")
    }

    /// Hands the line to the event loop while the lock is held, so that lines leave in the order of decisions: a
    /// `cancel` must never overtake the `open` it is about. The loop runs it later, without the lock.
    private func write(_ call: Call, _ state: inout State) {
        guard let channel = state.channel else { return }
        var call = call
        let deadline = clock.now + call.limit
        call.deadline = deadline
        state.written[call.id] = call
        if !call.method.overtakes { state.exclusive = call.id }
        if let controller = call.controller {
            if call.method == .stop { state.stopping.insert(controller) }
            if call.method == .start { state.stopping.remove(controller) }
        }
        watch(until: deadline, &state)
        let line = call.line
        channel.eventLoop.execute {
            channel.writeAndFlush(channel.allocator.buffer(bytes: line), promise: nil)
        }
    }

    private func cancel(_ id: Int64) {
        let dropped = state.withLock { state -> Call? in
            if let index = state.waiting.firstIndex(where: { $0.id == id }) {
                return state.waiting.remove(at: index)
            }
            if state.written[id] != nil, state.refusal == nil {
                let number = state.nextID
                state.nextID += 1
                let message = ModuleMessage.request(
                    id: number, method: ModuleMethod.cancel.rawValue,
                    params: CancelParams(id: id).json)
                write(
                    Call(
                        id: number, method: .cancel, limit: ModuleDeadlines.cancel,
                        line: message.line, waiter: nil), &state)
            }
            return nil
        }
        if let dropped {
            dropped.waiter?.resume(returning: .failure(Self.cancelledUnsent(dropped.method)))
        }
    }

    private static func cancelledUnsent(_ method: ModuleMethod) -> LockerError {
        LockerError(.cancelled, "\(method.rawValue) was cancelled before it went out")
    }

    // MARK: Deadlines

    /// One sleeping task watches the earliest deadline. A reply does not wake it: it looks again when its time comes, so
    /// that a quick call costs no timer.
    private func watch(until deadline: ContinuousClock.Instant, _ state: inout State) {
        if let watch = state.watch {
            if watch.until <= deadline { return }
            watch.task.cancel()
        }
        let task = Task { [weak self, clock] in
            do { try await clock.sleep(until: deadline, tolerance: nil) } catch { return }
            self?.expire()
        }
        state.watch = (deadline, task)
    }

    private func expire() {
        let now = clock.now
        let late = state.withLock { state -> [Call] in
            state.watch = nil
            let late = state.written.values.filter { ($0.deadline ?? now) <= now }
            for call in late { state.written[call.id] = nil }
            if late.isEmpty, let next = state.written.values.compactMap(\.deadline).min() {
                watch(until: next, &state)
            }
            return late
        }
        guard let worst = late.min(by: { $0.id < $1.id }) else { return }
        close(.misbehaviour("did not answer \(Self.words(worst))"))
        for call in late {
            call.waiter?.resume(
                returning: .failure(
                    LockerError(
                        .timedOut, "\(title) did not answer \(Self.words(call))",
                        fired: call.method == .open ? .unknown : .no, sent: .maybe)))
        }
    }

    private static func words(_ call: Call) -> String {
        "\(call.method.rawValue) within \(Int(call.limit / .milliseconds(1))) ms"
    }

    // MARK: What the module says

    /// Takes a reply; false when no call has this id.
    func receive(id: Int64, _ result: Result<JSON, LockerError>) -> Bool {
        let call = state.withLock { state -> Call? in
            guard let call = state.written.removeValue(forKey: id) else { return nil }
            if state.exclusive == id {
                state.exclusive = nil
                if state.refusal == nil, !state.waiting.isEmpty {
                    write(state.waiting.removeFirst(), &state)
                }
            }
            return call
        }
        call?.waiter?.resume(returning: result)
        return call != nil
    }

    // MARK: The end

    /// Ends the conversation: the module sees the end of its input and may go on writing, to nobody, while it lets go.
    ///
    /// Calls that have gone out wait for ``bury(_:)``, which knows how the process ended, but those to a module that
    /// misbehaved are answered at once: what it does from now on proves nothing.
    func close(_ closing: Closing) {
        let (isFirst, channel) = state.withLock { state -> (Bool, (any Channel)?) in
            guard state.refusal == nil else { return (false, nil) }
            state.refusal = closing.words
            state.watch?.task.cancel()
            state.watch = nil
            return (true, state.channel)
        }
        guard isFirst else { return }
        closed.fulfil(closing)
        // Only its input: a module that found its output closed too might die of that before its coils are off.
        channel?.close(mode: .output, promise: nil)
        if case .misbehaviour(let what) = closing { fail(what) }
    }

    /// After the process: answers every call there still is with the reason why it is gone.
    func bury(_ reason: String) {
        let channel = state.withLock { state -> (any Channel)? in
            state.refusal = reason
            defer { state.channel = nil }
            return state.channel
        }
        channel?.close(promise: nil)
        fail(reason)
    }

    private func fail(_ reason: String) {
        let calls = state.withLock { state -> (written: [Call], waiting: [Call]) in
            defer {
                state.written = [:]
                state.waiting = []
            }
            return (Array(state.written.values), state.waiting)
        }
        for call in calls.written {
            call.waiter?.resume(
                returning: .failure(
                    LockerError(
                        .linkDown, "\(title) \(reason)",
                        fired: call.method == .open ? .unknown : .no, sent: .maybe)))
        }
        for call in calls.waiting {
            call.waiter?.resume(returning: .failure(LockerError(.linkDown, "\(title) \(reason)")))
        }
    }
}

extension ModuleConnection.Closing {
    fileprivate var words: String {
        switch self {
        case .endOfFile: "has ended"
        case .misbehaviour(let what): what
        case .retired: "was stopped"
        }
    }
}

extension ModuleMethod {
    /// Whether the call may come while another one has not been answered.
    fileprivate var overtakes: Bool {
        switch self {
        case .stop, .cancel, .ping: true
        case .hello, .configure, .start, .open, .doors, .act, .deliver: false
        }
    }
}
