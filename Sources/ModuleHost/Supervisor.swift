import JSONLines
import LockerKit
import Locks
import Logging
import ModuleWire
import NIOCore
import SiteModel

/// What a supervised module is for: how it is made ready, served and wound down.
protocol ModuleDuty: Sendable {
    /// Brings a fresh process, past `hello`, to where it can serve.
    func prepare(_ session: ModuleSession) async throws(StartFailure)
    /// The module serves; returns when the session's streams end or the task is cancelled.
    func serve(_ session: ModuleSession, restarts: Int) async
    /// Brings the hardware to rest before the process is let go.
    func windDown(_ session: ModuleSession) async
    func note(_ phase: Supervisor.Phase) async
}

/// Keeps one module running: vet, spawn, handshake, serve; after its death a pause and once more.
final class Supervisor: Sendable {
    /// What is reported besides readiness.
    enum Phase: Sendable, Equatable {
        case starting(restarts: Int)
        case down(reason: String, restarts: Int)
        case quarantined(reason: String, restarts: Int)
    }

    private struct State {
        var session: ModuleSession?
        var isServing = false
        var pause: Task<Void, Never>?
        /// Somebody asked for a fresh start and it has not been made yet.
        var isRestartWanted = false
    }

    private let subject: ModuleSubject
    private let vetter: ModuleVetter
    private let duty: any ModuleDuty
    private let daemonVersion: String
    private let logger: Logger
    private let clock: any MonotonicClock
    private let loops: any EventLoopGroup
    private let state = Mutex(State())

    init(
        _ subject: ModuleSubject, duty: any ModuleDuty, daemonVersion: String, logger: Logger,
        clock: any MonotonicClock, loops: any EventLoopGroup
    ) {
        self.loops = loops
        self.subject = subject
        vetter = ModuleVetter(subject.module)
        self.duty = duty
        self.daemonVersion = daemonVersion
        self.logger = logger
        self.clock = clock
    }

    /// The process now running, for tests and `status`.
    var session: ModuleSession? { state.withLock { $0.session } }

    /// Runs until the task is cancelled; the module has then been wound down and reaped.
    func run() async {
        var policy = RestartPolicy()
        while !Task.isCancelled {
            state.withLock { $0.isRestartWanted = false }
            policy.noteStart(at: clock.now)
            await duty.note(.starting(restarts: policy.restarts))
            let failure = await live(restarts: policy.restarts)
            if Task.isCancelled { return }
            await afterwards(failure, &policy)
        }
    }

    /// Ends the module, if one runs, and has it started at once; also ends a pause or a quarantine.
    func restart() async {
        let (session, isServing, pause) = state.withLock { state in
            state.isRestartWanted = true
            return (state.session, state.isServing, state.pause)
        }
        pause?.cancel()
        guard let session else { return }
        if isServing { await duty.windDown(session) }
        await session.retire()
    }

    private func afterwards(_ failure: StartFailure, _ policy: inout RestartPolicy) async {
        let restarts = policy.restarts
        if state.withLock({ $0.isRestartWanted }) {
            policy.forgive()
            await duty.note(
                .down(reason: "\(subject.title) is being restarted on request", restarts: restarts))
            return
        }
        let reason = "\(subject.title) \(LogLines.printable(failure.reason))"
        switch policy.noteEnd(failure.ending, at: clock.now) {
        case .pause(let pause):
            logger.warning("\(reason); next start in \(pause)")
            await duty.note(.down(reason: reason, restarts: restarts))
            await sleep(until: clock.now + pause)
        case .quarantine(let until):
            logger.error(
                "\(reason); it died too often and is left alone until a restart or \(RestartPolicy.quarantine) from now"
            )
            await duty.note(.quarantined(reason: reason, restarts: restarts))
            await sleep(until: until)
        }
        if state.withLock({ $0.isRestartWanted }) { policy.forgive() }
    }

    /// Sleeps until then, until a restart is asked for, or until the task is cancelled.
    private func sleep(until deadline: ContinuousClock.Instant) async {
        let pause = Task { [clock] in
            try? await clock.sleep(until: deadline, tolerance: nil)
            return
        }
        let isRestartWanted = state.withLock { state in
            state.pause = pause
            return state.isRestartWanted
        }
        if isRestartWanted { pause.cancel() }
        await withTaskCancellationHandler {
            await pause.value
        } onCancel: {
            pause.cancel()
        }
        state.withLock { $0.pause = nil }
    }

    /// One life of the module, from vetting to reaping.
    private func live(restarts: Int) async -> StartFailure {
        do throws(StartFailure) {
            if let refusal = await vetter.refusal() {
                throw StartFailure(ending: .refused, reason: "is refused: \(refusal)")
            }
            try checkMajor(subject.module.protocolMajor, "its manifest says")
            let session = try await ModuleSession.launch(
                subject, logger: logger, clock: clock, loops: loops)
            // A restart asked for since then has just been made.
            state.withLock { state in
                state.session = session
                state.isRestartWanted = false
            }
            defer {
                state.withLock {
                    $0.session = nil
                    $0.isServing = false
                }
            }
            return await live(session, restarts: restarts)
        } catch {
            return error
        }
    }

    private func live(_ session: ModuleSession, restarts: Int) async -> StartFailure {
        do throws(StartFailure) {
            try await handshake(session)
        } catch {
            await session.retire()
            return error
        }
        state.withLock { $0.isServing = true }
        await duty.serve(session, restarts: restarts)
        if let reason = await session.death.wait() {
            return StartFailure(ending: .died, reason: reason)
        }
        // Cancelled: the stop calls must go out from a task that is not.
        await Task {
            await duty.windDown(session)
            await session.retire()
        }.value
        return StartFailure(ending: .died, reason: "was stopped")
    }

    private func handshake(_ session: ModuleSession) async throws(StartFailure) {
        let outcome = await withTaskCancellationHandler {
            do throws(StartFailure) {
                try await hello(session)
                try await duty.prepare(session)
                return Result<Void, StartFailure>.success(())
            } catch {
                return .failure(error)
            }
        } onCancel: {
            session.connection.close(.retired)
        }
        try outcome.get()
    }

    private func hello(_ session: ModuleSession) async throws(StartFailure) {
        let reply = try await session.ask(
            .hello,
            HelloParams(
                daemon: "lockerd", daemonVersion: daemonVersion,
                kind: subject.module.kind.rawValue, name: subject.name,
                logLevel: logger.logLevel.rawValue
            ).json, within: ModuleDeadlines.hello)
        // Before anything else: of another major's reply only this much can be understood.
        if let major = reply["protocol"]?["major"]?.intValue {
            try checkMajor(major, "it answers hello with")
        }
        do throws(WireError) {
            let hello = try HelloResult(json: reply)
            let (name, version) = (hello.module, LogLines.printable(hello.moduleVersion))
            logger.info("\(subject.title) \(version) runs as process \(session.pid)")
            if name != subject.module.name {
                logger.warning("\(subject.title) calls itself \"\(LogLines.printable(name))\"")
            }
        } catch {
            throw StartFailure(ending: .refused, reason: "answered hello wrongly: \(error)")
        }
    }

    private func checkMajor(_ major: Int, _ source: String) throws(StartFailure) {
        if let problem = ModuleVetting.majorProblem(major, source) {
            throw StartFailure(ending: .refused, reason: "is refused: \(problem)")
        }
    }
}
