package import JSONLines
import Locks

extension ControlClient {
    /// Name and versions of the daemon.
    public func version() async throws(ControlError) -> DaemonVersion {
        try DaemonVersion(try await call("version"))
    }

    /// The site, or the part of it that `scope` names.
    public func status(_ scope: StatusScope = StatusScope()) async throws(ControlError)
        -> SiteStatus
    {
        try SiteStatus(try await call("status", scope.json))
    }

    /// Opens one locker; the reply comes when it is done, or after the terms' `waitMs`.
    public func open(_ command: OpenCommand) async throws(ControlError) -> OperationResult {
        try OperationResult(try await call("open", command.json, patience: nil))
    }

    /// Opens many lockers; `progress` is called for each, on the connection's own thread, while the call is under way.
    ///
    /// Progress does not name the call: with several open-alls on one connection, look at its `operation`.
    public func openAll(
        _ command: OpenAllCommand,
        progress: @escaping @Sendable (OpenAllProgress) -> Void = { _ in }
    ) async throws(ControlError) -> OperationResult {
        let listener = exchange.addProgress(progress)
        defer { exchange.removeProgress(listener) }
        return try OperationResult(try await call("open-all", command.json, patience: nil))
    }

    /// What the same ``openAll(_:progress:)`` would do and how long it would take; nothing is opened.
    ///
    /// Only for daemons that speak control protocol 1.1 or newer; an older one refuses it.
    public func planOpenAll(_ command: OpenAllCommand) async throws(ControlError) -> OpenAllPlan {
        try OpenAllPlan(try await call("open-all", command.planJSON))
    }

    /// How far an operation has come.
    public func operation(_ id: String) async throws(ControlError) -> OperationResult {
        try OperationResult(try await call("operation", ["operation": .string(id)]))
    }

    /// Waits until an operation has ended, and returns its result.
    ///
    /// Steps are shown through `progress`: at once where the daemon tells this connection of them (it does so for an
    /// open-all that was sent on it), otherwise a few times a second.
    public func follow(
        _ id: String, progress: @escaping @Sendable (OpenAllProgress) -> Void = { _ in }
    ) async throws(ControlError) -> OperationResult {
        let (ticks, tick) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        let listener = exchange.addProgress { step in
            guard step.operation == id else { return }
            progress(step)
            if step.done >= step.total { tick.yield() }
        }
        let ticker = Task {
            while !Task.isCancelled {
                try? await Task.sleep(for: .milliseconds(250))
                tick.yield()
            }
            tick.finish()
        }
        defer {
            ticker.cancel()
            exchange.removeProgress(listener)
        }
        var result = try await operation(id)
        var ticking = ticks.makeAsyncIterator()
        while result.isPending, await ticking.next() != nil {
            result = try await operation(id)
        }
        if result.isPending { throw .abandoned(method: "operation") }
        return result
    }

    /// Stops an operation before its next lock; says what was and was not fired.
    public func cancel(_ operation: String) async throws(ControlError) -> CancelResult {
        try CancelResult(
            try await call(
                "cancel", ["operation": .string(operation)], patience: Self.cancelPatience))
    }

    /// Changes a locker's service flags.
    ///
    /// Returns the locker, and the result as the daemon sent it.
    public func service(
        _ command: ServiceCommand
    ) async throws(ControlError) -> (locker: LockerStatus, json: String) {
        let reply = try await call("service", command.json)
        return (try LockerStatus(reply.result, at: "service"), reply.text)
    }

    /// A part of the audit, oldest entry first.
    public func audit(_ query: AuditQuery = AuditQuery()) async throws(ControlError) -> AuditPage {
        try AuditPage(try await call("audit", query.json))
    }

    /// All controllers and uplinks, in the daemon's order, and the result as the daemon sent it.
    public func controllers() async throws(ControlError) -> (
        list: [ControllerStatus], uplinks: [UplinkStatus], json: String
    ) {
        let reply = try await call("controllers")
        let list = reply.result.arrayValue ?? reply.result["controllers"]?.arrayValue
        guard let list else {
            throw .malformed("controllers: want an array, got \(reply.result.kind)")
        }
        var out: [ControllerStatus] = []
        for (index, item) in list.enumerated() {
            out.append(try ControllerStatus(item, at: "controllers[\(index)]"))
        }
        var uplinks: [UplinkStatus] = []
        for (index, item) in (reply.result["uplinks"]?.arrayValue ?? []).enumerated() {
            uplinks.append(try UplinkStatus(item, at: "uplinks[\(index)]"))
        }
        return (out, uplinks, reply.text)
    }

    /// Starts an uplink's module anew; returns the daemon's result as JSON.
    @discardableResult
    public func restart(uplink: String) async throws(ControlError) -> String {
        try await call("restart", ["uplink": .string(uplink)], patience: .seconds(60)).text
    }

    /// Starts a controller's module anew; returns the daemon's result as JSON.
    @discardableResult
    public func restart(controller: String) async throws(ControlError) -> String {
        try await call("restart", ["controller": .string(controller)], patience: .seconds(60)).text
    }

    /// Asks a controller's device for something beyond opening; returns the daemon's result.
    package func act(
        controller: String, action: String, with params: JSONObject
    ) async throws(ControlError) -> Reply {
        var all = params
        all["controller"] = .string(controller)
        all["action"] = .string(action)
        return try await call("act", .object(all), patience: .seconds(60))
    }

    /// Has the daemon read its configuration again; the result names the links by what became of them.
    package func reload() async throws(ControlError) -> Reply {
        try await call("reload", patience: .seconds(60))
    }

    /// Events after number `since`, then live ones; without `since`, live ones only.
    ///
    /// `types` limits them, all when empty. A connection carries one stream of events; close the client when it is no
    /// longer wanted. The stream throws ``ControlError`` when the connection ends or events are not taken in time.
    public func events(
        since: Int? = nil, types: [String] = []
    ) async throws(ControlError) -> AsyncThrowingStream<SiteEvent, any Error> {
        let (stream, continuation) = AsyncThrowingStream<SiteEvent, any Error>.makeStream(
            bufferingPolicy: .bufferingOldest(exchange.eventLimit))
        guard exchange.setEvents(continuation) else {
            throw .malformed("this connection carries a stream of events already")
        }
        var params = JSONObject()
        params["since"] = since.map { .int(Int64($0)) }
        if !types.isEmpty { params["types"] = .array(types.map(JSON.string)) }
        do throws(ControlError) {
            _ = try await call("subscribe", .object(params))
        } catch {
            exchange.removeEvents()
            throw error
        }
        // The stream keeps the connection for whoever holds nothing but the stream.
        continuation.onTermination = { _ in self.exchange.removeEvents() }
        return stream
    }
}
