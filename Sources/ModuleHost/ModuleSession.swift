import Glibc
import LockerKit
import Logging
import ModuleWire
import NIOCore
import NIOPosix
import SiteModel

/// Whom a module process is started for.
struct ModuleSubject: Sendable {
    let module: ModulePlan
    /// The link's or the uplink's name.
    let name: String

    /// For messages: `module simulator`.
    var title: String { "module \(module.name)" }
}

/// Why a module does not serve. The reason is a clause that goes after the module's title.
struct StartFailure: Error, Sendable, Equatable {
    let ending: RestartPolicy.Ending
    let reason: String
}

/// Readings that a module sent by itself.
struct DoorReport: Sendable {
    let controller: String
    let doors: [DoorReading]
}

/// One module process from its start to its end, with the conversation that is led with it.
final class ModuleSession: Sendable {
    /// One thread moves the bytes of all modules where nobody brings another; it never waits for any of them.
    static let ownLoops = MultiThreadedEventLoopGroup(numberOfThreads: 1)

    let subject: ModuleSubject
    let connection: ModuleConnection
    /// Comes when the process has ended and was reaped: why, as a clause that goes after the module's title.
    let death = OneShot<String>()
    /// Readings nobody asked for; ends with the process.
    let doors: AsyncStream<DoorReport>

    private let child: Child
    private let log: ModuleLog
    private let clock: any MonotonicClock
    private let endDoors: @Sendable () -> Void

    var pid: Int32 { child.pid }

    private init(
        subject: ModuleSubject, child: Child, log: ModuleLog, clock: any MonotonicClock,
        doors: AsyncStream<DoorReport>, endDoors: @escaping @Sendable () -> Void
    ) {
        self.subject = subject
        self.child = child
        self.log = log
        self.clock = clock
        self.doors = doors
        self.endDoors = endDoors
        connection = ModuleConnection(title: subject.title, clock: clock)
    }

    /// Starts the process and begins to listen to it. Says nothing yet.
    static func launch(
        _ subject: ModuleSubject, logger: Logger, clock: any MonotonicClock,
        loops: any EventLoopGroup
    ) async throws(StartFailure) -> ModuleSession {
        let module = subject.module
        let executable = "\(module.directory)/\(module.executable)"
        let child: Child
        do throws(ProcessKeeper.SpawnError) {
            child = try await ProcessKeeper.shared.spawn(
                ProcessKeeper.Order(
                    directory: module.directory, executable: executable,
                    environment: environment(for: subject)))
        } catch {
            let problem =
                error.number == ENOENT ? "no such file or interpreter" : text(error.number)
            throw StartFailure(
                ending: .refused,
                reason: "cannot be started: \(error.step) of \(executable): \(problem)")
        }
        return await adopt(child, for: subject, logger: logger, clock: clock, loops: loops)
    }

    /// Begins to listen to a process that was just started, and owns it and its descriptors from then on.
    static func adopt(
        _ child: Child, for subject: ModuleSubject, logger: Logger, clock: any MonotonicClock,
        loops: any EventLoopGroup
    ) async -> ModuleSession {
        let (doors, feed) = AsyncStream.makeStream(
            of: DoorReport.self,
            bufferingPolicy: .bufferingNewest(ModuleLimits.heldDoorReports))
        let session = ModuleSession(
            subject: subject, child: child, log: ModuleLog(logger: logger, clock: clock),
            clock: clock, doors: doors, endDoors: { feed.finish() })
        await session.listen(on: loops) { params throws(WireError) in
            let now = clock.now
            let readings = try params.doors.map { data throws(WireError) in
                try DoorReading(data, now: now)
            }
            feed.yield(DoorReport(controller: params.controller, doors: readings))
        }
        return session
    }

    /// The whole environment of a module; nothing of the daemon's own is handed on.
    static func environment(for subject: ModuleSubject) -> [String] {
        [
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG=C.UTF-8",
            "LOCKERD_MODULE=\(subject.module.name)",
            "LOCKERD_LINK=\(subject.name)",
            // A Swift module that traps must die at once, with its coils falling, and not have its memory drawn first.
            "SWIFT_BACKTRACE=enable=no",
        ]
    }

    /// Lets the module go: closes its input, kills it if it stays longer than it may, and returns when it was reaped.
    func retire() async {
        connection.close(.retired)
        _ = await deathReason()
    }

    private func listen(
        on loops: any EventLoopGroup,
        _ notify: @escaping @Sendable (DoorsParams) throws(WireError) -> Void
    ) async {
        let (connection, log) = (self.connection, self.log)
        var errors: (any Channel)?
        do {
            // A bootstrap that fails gives the descriptor back.
            errors = try await NIOPipeBootstrap(group: loops)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(ErrorLinesHandler(log))
                    }
                }
                .takingOwnershipOfDescriptor(input: child.errors).get()
            _ = try await ClientBootstrap(group: loops)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        connection.attach(channel)
                        try channel.pipeline.syncOperations.addHandler(
                            ModuleLinesHandler(
                                connection, ModuleListener(connection, log: log, notify: notify)))
                    }
                }
                .withConnectedSocket(child.channel).get()
        } catch {
            connection.close(.misbehaviour("cannot be listened to: \(error)"))
            // Nobody else tells the module of the end.
            if !connection.isAttached { Glibc.close(child.channel) }
        }
        Task { [errors] in await bury(errors) }
    }

    /// Waits for the end of the conversation, sees to it that the process ends too, and says why.
    private func bury(_ errors: (any Channel)?) async {
        let (log, clock) = (self.log, self.clock)
        let watch = Task {
            // A process that the module left behind may hold the socket open.
            guard await child.ended.wait() != nil,
                (try? await clock.sleep(
                    until: clock.now + ModuleDeadlines.lastWords, tolerance: nil)) != nil
            else { return }
            connection.close(.endOfFile)
        }
        let closing = await connection.closed.wait() ?? .endOfFile
        watch.cancel()
        var hadToBeKilled = false
        // Also after misbehaviour: a module in the middle of a pulse still has its off order to send.
        if await child.ended.wait(for: ModuleDeadlines.exit, clock: clock) == nil {
            hadToBeKilled = true
            ProcessKeeper.shared.kill(child)
        }
        let ending = await child.ended.wait() ?? .untold
        if let errors {
            _ = await log.errorsEnded.wait(for: ModuleDeadlines.lastWords, clock: clock)
            errors.close(promise: nil)
        } else {
            Glibc.close(child.errors)
        }
        let reason = reason(closing, ending, hadToBeKilled: hadToBeKilled)
        endDoors()
        connection.bury(reason)
        death.fulfil(reason)
    }

    private func reason(
        _ closing: ModuleConnection.Closing, _ ending: Child.Ending, hadToBeKilled: Bool
    ) -> String {
        let limit = Int(ModuleDeadlines.exit / .milliseconds(1))
        var reason: String
        switch closing {
        case .retired:
            return hadToBeKilled ? "was stopped but did not exit within \(limit) ms" : "was stopped"
        case .misbehaviour(let what): reason = what
        case .endOfFile where hadToBeKilled:
            reason = "closed its output but did not exit within \(limit) ms"
        case .endOfFile: reason = ending.words
        }
        if let line = log.lastErrorLine { reason += "; it last printed \"\(line)\"" }
        return reason
    }

    private static func text(_ number: Int32) -> String {
        switch number {
        case EACCES: "permission denied"
        case ENOEXEC: "not in a format that can be executed"
        case ETIMEDOUT:
            "not within \(Int(ProcessKeeper.executionLimit / .milliseconds(1))) ms; its file system may hang"
        default: "errno \(number)"
        }
    }
}

extension Child.Ending {
    fileprivate var words: String {
        switch self {
        case .code(let code): "ended by itself with exit code \(code)"
        case .untold: "ended"
        case .signal(let number): "was ended by signal \(number)\(Self.names[number] ?? "")"
        }
    }

    private static var names: [Int32: String] {
        [
            SIGILL: " (SIGILL, a trap)", SIGTRAP: " (SIGTRAP, a trap)", SIGABRT: " (SIGABRT)",
            SIGBUS: " (SIGBUS)", SIGKILL: " (SIGKILL)", SIGSEGV: " (SIGSEGV)",
            SIGTERM: " (SIGTERM)",
        ]
    }
}
