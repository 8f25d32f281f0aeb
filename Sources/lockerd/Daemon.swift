import ControlServer
import Dispatch
import Glibc
import Heartbeat
import Journal
import LockerCore
import LockerKit
import Logging
import ModuleHost
import NIOPosix
import SiteConfig
import SiteModel
import UnixSignals

/// Why the daemon could not start, with the exit code that says so.
struct DaemonFailure: Error {
    let code: Int32
    let message: String
}

/// Puts the rooms together and takes them down again. Holds no logic of its own.
actor Daemon {
    /// How long running operations may take to end when the daemon stops.
    static let drain: Duration = .seconds(10)
    /// How long READY waits for links that are slow to start; they go on starting afterwards.
    static let startPatience: Duration = .seconds(2)
    /// Most problems that the reply to a reload names; the log has them all.
    static let problemsTold = 200

    private let loader: SiteLoader
    private let socket: String?
    private let state: String?
    private let logger: Logger
    private let manager: ServiceManager
    /// One thread moves the bytes of clients and modules; the core runs on the runtime's pool.
    private let loops = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private var plan = SitePlan(site: "")
    private var site: Site?
    private var server: ControlServer?
    private var uplinks: Uplinks?
    /// From here on there is something to take down.
    private var isBuilding = false
    private var isReady = false
    private var isStopping = false
    /// An output was in doubt when the links were stopped.
    private var isStuck = false
    private var starting: Task<DaemonFailure?, Never>?
    private var lastReload: Task<Result<ReloadView, LockerError>, Never>?

    init(
        loader: SiteLoader, socket: String?, state: String?, logger: Logger,
        manager: ServiceManager
    ) {
        self.loader = loader
        self.socket = socket
        self.state = state
        self.logger = logger
        self.manager = manager
    }

    /// Serves until a signal ends it, which it may do while the daemon still starts.
    func run() async throws(DaemonFailure) {
        let signals = await UnixSignalsSequence(trapping: .sigterm, .sigint, .sighup)
        let (ended, end) = AsyncStream.makeStream(of: DaemonFailure.self)
        let listener = Task {
            for await signal in signals { await self.take(signal) { end.finish() } }
        }
        defer { listener.cancel() }
        let starting = Task { () -> DaemonFailure? in
            do throws(DaemonFailure) {
                try await self.start()
                return nil
            } catch {
                return error
            }
        }
        self.starting = starting
        let watchdog = Task {
            if let failure = await starting.value {
                end.yield(failure)
            } else {
                await self.announce()
                await self.feedWatchdog()
            }
        }
        defer { watchdog.cancel() }
        for await failure in ended { throw failure }
        if isStuck {
            throw DaemonFailure(
                code: EX_IOERR, message: "an output may still be energised; the log names it")
        }
    }

    /// The first SIGTERM or SIGINT begins the stop, a second one ends the program at once.
    private func take(_ signal: UnixSignal, ended: @escaping @Sendable () -> Void) async {
        if signal == .sighup {
            // Not waited for: a reload that hangs must not keep SIGTERM from being heard.
            Task {
                _ = await starting?.value
                if (try? await self.reload()) != nil { await site?.noteReload(by: nil) }
            }
        } else if isStopping {
            exit(EX_TEMPFAIL)
        } else {
            isStopping = true
            logger.notice("stopping on signal \(signal)")
            Task {
                // What is half built could only half be taken down. Before that, files and user names are read, which may
                // take for ever.
                if isBuilding { _ = await starting?.value }
                await self.stop()
                ended()
            }
        }
    }

    private func start() async throws(DaemonFailure) {
        let loaded = await load()
        guard !isStopping else { return }
        isBuilding = true
        guard var plan = loaded.plan else { throw .configuration(loaded.problems) }
        for problem in loaded.problems { logger.error("\(problem)") }
        if let socket { plan.control.socket = socket }
        self.plan = plan
        let (bootID, machine) = (Machine.newBootID(), Machine.time())
        let journal = try await openJournal(
            at: state ?? plan.stateDirectory, bootID: bootID, machine: machine)
        let site = Site(
            plan: plan,
            connector: ModuleHost(daemonVersion: Version.number, logger: logger, loops: loops),
            environment: CoreEnvironment(
                clock: ContinuousClock(), wallClock: Machine.wallTime, logger: logger,
                bootID: bootID, executor: LoopExecutor(loops.next()), journal: journal,
                machine: machine, passing: EndAt.passing(Machine.environment())))
        let server = ControlServer(
            core: site, plan: plan.control, modules: plan.moduleCount, group: loops,
            version: Version.number,
            reload: { [weak self] () async throws(LockerError) in
                guard let self else { throw .stopping }
                return try await self.reload()
            },
            restartUplink: { [weak self] name in await self?.restart(uplink: name) ?? false },
            logger: logger)
        // The socket comes first: a second daemon on the same site must not start a second set of modules.
        do throws(SocketError) {
            let inherited = try ControlServer.inheritedSocket(
                environment: Machine.environment(), pid: getpid())
            try await server.start(inheriting: inherited, serving: false)
        } catch {
            throw DaemonFailure(code: EX_UNAVAILABLE, message: error.description)
        }
        self.site = site
        self.server = server
        await site.start()
        await server.serve()
        uplinks = Uplinks(self.plan.heartbeat, site: site, logger: logger)
        // The plan of now: a client may have had the files read again already.
        await uplinks?.reload(self.plan)
    }

    /// Reading what earlier runs left blocks, so it happens on a thread of its own.
    private func openJournal(
        at folder: String?, bootID: String, machine: MachineTime
    ) async throws(DaemonFailure) -> SQLiteJournal {
        let setting = JournalSetting(
            bootID: bootID, machineBoot: machine.boot, monotonicMs: machine.monotonicMs,
            wallClock: Machine.wallTime,
            stamp: {
                AuditStamp(
                    at: Machine.wallTime(), monotonicMs: machine.monotonicMs(), bootID: bootID,
                    machineBoot: machine.boot, isSynchronized: machine.isSynchronized())
            }, logger: logger)
        let result: Result<SQLiteJournal, JournalOpenFailure> =
            await withCheckedContinuation { continuation in
                DispatchQueue.global().async {
                    do throws(JournalOpenFailure) {
                        continuation.resume(
                            returning: .success(try SQLiteJournal.open(at: folder, setting)))
                    } catch {
                        continuation.resume(returning: .failure(error))
                    }
                }
            }
        switch result {
        case .success(let journal): return journal
        case .failure(let failure):
            throw DaemonFailure(code: EX_UNAVAILABLE, message: failure.description)
        }
    }

    /// Says that the daemon is ready once every link has been tried, or after ``startPatience``; never once it stops.
    private func announce() async {
        await site?.waitUntilSettled(limit: Self.startPatience)
        guard !isStopping else { return }
        isReady = true
        print("ready")
        fflush(nil)
        manager.ready()
    }

    /// Reads the files again; only what changed is touched. A bad `lockerd.toml` changes nothing.
    ///
    /// One reload after the other, whoever asked: each applies the difference to what the one before left.
    private func reload() async throws(LockerError) -> ReloadView {
        let previous = lastReload
        let task = Task {
            _ = await previous?.value
            do throws(LockerError) {
                return Result<ReloadView, LockerError>.success(try await self.readAgain())
            } catch {
                return .failure(error)
            }
        }
        lastReload = task
        return try await task.value.get()
    }

    private func readAgain() async throws(LockerError) -> ReloadView {
        guard let site, let server, !isStopping else {
            throw .stopping
        }
        // The service manager waits for READY once, and for none after STOPPING.
        if isReady { manager.reloading() }
        defer { if isReady, !isStopping { manager.ready() } }
        let loaded = await load()
        for problem in loaded.problems { logger.error("\(problem)") }
        guard var next = loaded.plan else {
            let message = DaemonFailure.configuration(loaded.problems).message
            logger.error("reload refused: \(message)")
            throw LockerError(.conflict, message)
        }
        if socket == nil, next.control.socket != plan.control.socket {
            logger.warning("control.socket has changed; it takes a restart to move there")
        }
        next.control.socket = plan.control.socket
        if next.site != plan.site {
            logger.warning("site has changed; it takes a restart to get its new name")
        }
        plan = next
        server.updatePolicy(next.control, modules: next.moduleCount)
        var view = await site.reload(next)
        view.problems = loaded.problems.prefix(Self.problemsTold).map(\.description)
        guard !isStopping else { throw .stopping }
        await uplinks?.reload(next)
        logger.notice(
            "configuration read again",
            metadata: [
                "changed": "\(view.changed + view.added + view.removed)",
                "faulted": "\(view.faulted)",
            ])
        return view
    }

    private func restart(uplink name: String) async -> Bool {
        await uplinks?.restart(name: name) ?? false
    }

    /// Refuses new work, lets what runs end, says farewell while the site still stands, switches every coil off.
    private func stop() async {
        manager.stopping()
        await site?.drain(limit: Self.drain)
        await uplinks?.stop()
        await site?.stop()
        isStuck =
            site?.snapshot.read { contents in
                contents.controllers.contains { $0.view.hasStuckOutput }
            } ?? false
        await server?.stop()
    }

    /// A round trip through the core and its lanes, twice in each interval: a core that hangs is restarted.
    private func feedWatchdog() async {
        guard let interval = manager.watchdogInterval, let site else { return }
        while !Task.isCancelled {
            await site.ping()
            manager.watchdog()
            try? await Task.sleep(for: interval / 2)
        }
    }

    /// Reading files and user names blocks, so it happens on a thread of its own.
    private func load() async -> LoadResult {
        await withCheckedContinuation { continuation in
            DispatchQueue.global().async { [loader, running = plan.links] in
                continuation.resume(returning: loader.load(running: running))
            }
        }
    }
}

extension DaemonFailure {
    fileprivate static func configuration(_ problems: [Problem]) -> DaemonFailure {
        let list = problems.map { "\n  \($0)" }.joined()
        return DaemonFailure(code: EX_CONFIG, message: "the configuration cannot be used:\(list)")
    }
}

extension LockerError {
    fileprivate static let stopping = LockerError(.stopping, "the daemon is starting or stopping")
}
