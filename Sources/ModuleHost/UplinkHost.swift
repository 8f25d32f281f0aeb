import JSONLines
package import LockerCore
package import LockerKit
import Locks
package import Logging
import ModuleWire
package import SiteModel

/// Runs the uplink module of one upstream and hands beats to it.
package final class UplinkHost: Sendable {
    /// The uplink's name, unique on the site.
    package let name: String

    private let duty: UplinkDuty
    private let supervisor: Supervisor?

    /// Makes the host of one uplink; nothing runs before ``run()``.
    ///
    /// `report` is called after every change of ``view``, in the order of the changes. It must be quick and must not call
    /// this host.
    package init(
        _ plan: UplinkPlan, site: String, daemonVersion: String, logger: Logger,
        clock: any MonotonicClock = ContinuousClock(),
        wallClock: @escaping @Sendable () -> WallTime,
        report: @escaping @Sendable (UplinkView) -> Void = { _ in }
    ) {
        name = plan.name
        duty = UplinkDuty(plan, site: site, clock: clock, wallClock: wallClock, report: report)
        var logger = logger
        logger[metadataKey: "uplink"] = .string(plan.name)
        if let module = plan.module {
            logger[metadataKey: "module"] = .string(module.name)
            supervisor = Supervisor(
                ModuleSubject(module: module, name: plan.name), duty: duty,
                daemonVersion: daemonVersion, logger: logger, clock: clock,
                loops: ModuleSession.ownLoops)
        } else {
            supervisor = nil
            duty.fail(plan.problem ?? "uplink \(plan.name) has no module")
        }
    }

    /// State and history at this moment.
    package var view: UplinkView { duty.view }

    /// The process that serves the uplink now.
    package var processID: Int32? { supervisor?.session?.pid }

    /// Keeps the module running until the task is cancelled.
    package func run() async {
        guard let supervisor else { return }
        await supervisor.run()
        duty.fail("\(name) was stopped")
    }

    /// Ends the module and has it started at once, also out of quarantine; false where there is no module to start.
    @discardableResult
    package func restart() async -> Bool {
        await supervisor?.restart()
        return supervisor != nil
    }

    /// Hands over one beat, a JSON value, and returns once the upstream has taken it.
    package func deliver(_ beat: String) async throws(LockerError) {
        let json: JSON
        do throws(JSONSyntaxError) {
            json = try JSONReader.parse(beat)
        } catch {
            throw LockerError(.invalidRequest, "the beat is not JSON: \(error)")
        }
        let session = try duty.readySession()
        do throws(LockerError) {
            _ = try await session.connection.call(
                .deliver, DeliverParams(beat: json).json, within: ModuleDeadlines.deliver)
        } catch {
            duty.noteFailure(error)
            throw error
        }
        duty.noteDelivery()
    }
}

/// What an uplink's process is for: one upstream.
private final class UplinkDuty: ModuleDuty {
    private struct State {
        var view: UplinkView
        var session: ModuleSession?
        /// Why the module died last; stays to be seen after it is back.
        var lastDeath: String?
    }

    private let plan: UplinkPlan
    private let site: String
    private let clock: any MonotonicClock
    private let wallClock: @Sendable () -> WallTime
    private let report: @Sendable (UplinkView) -> Void
    private let state: Mutex<State>

    init(
        _ plan: UplinkPlan, site: String, clock: any MonotonicClock,
        wallClock: @escaping @Sendable () -> WallTime,
        report: @escaping @Sendable (UplinkView) -> Void
    ) {
        self.plan = plan
        self.site = site
        self.clock = clock
        self.wallClock = wallClock
        self.report = report
        state = Mutex(
            State(
                view: UplinkView(name: plan.name, module: plan.module?.name, since: wallClock())))
    }

    var view: UplinkView { state.withLock { $0.view } }

    /// The lock is held until the change is reported, so that nobody is told of two changes in the wrong order.
    private func change(_ body: (inout State) -> Void) {
        state.withLock { state in
            let before = state.view
            body(&state)
            if state.view.state != before.state { state.view.since = wallClock() }
            if state.view != before { report(state.view) }
        }
    }

    func fail(_ reason: String, as newState: UplinkState = .faulted) {
        change { state in
            state.session = nil
            state.lastDeath = reason
            state.view.state = newState
            state.view.reason = reason
        }
    }

    func noteDelivery() {
        change { state in
            state.view.lastDelivered = clock.now
            if state.view.state == .ready { state.view.reason = state.lastDeath }
        }
    }

    func noteFailure(_ error: LockerError) {
        // One that was given up on purpose says nothing of the upstream.
        guard error.code != .cancelled else { return }
        change { state in
            // Why the module is gone tells more than what that did to a beat.
            if state.view.state == .ready { state.view.reason = error.message }
        }
    }

    func readySession() throws(LockerError) -> ModuleSession {
        let (session, view) = state.withLock { ($0.session, $0.view) }
        if let session { return session }
        switch view.state {
        case .faulted, .quarantined:
            throw LockerError(.linkDown, "uplink \(plan.name): \(view.reason ?? "is down")")
        case .starting, .ready: throw LockerError(.linkDown, "uplink \(plan.name) is starting")
        }
    }

    func prepare(_ session: ModuleSession) async throws(StartFailure) {
        _ = try await session.ask(
            .configure,
            ConfigureUplinkParams(site: site, name: plan.name, options: plan.options).json,
            within: ModuleDeadlines.configure)
    }

    func serve(_ session: ModuleSession, restarts: Int) async {
        change { state in
            state.session = session
            state.view.state = .ready
            state.view.reason = state.lastDeath
        }
        for await _ in session.doors {}
        state.withLock { $0.session = nil }
    }

    func windDown(_ session: ModuleSession) async {}

    func note(_ phase: Supervisor.Phase) async {
        switch phase {
        case .starting(let restarts):
            change { state in
                state.view.state = .starting
                state.view.restarts = restarts
            }
        case .down(let reason, _): fail(reason)
        case .quarantined(let reason, _): fail(reason, as: .quarantined)
        }
    }
}
