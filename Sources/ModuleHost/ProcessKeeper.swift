import CPosixShim
import Glibc
import Locks

/// The one thread that starts module processes, kills them and learns of their end.
///
/// A child is told of its parent's death when the *thread* that forked it ends, so this thread lives as long as the
/// program. Being the only one that reaps, it can also send signals without ever hitting a number that was given to
/// another process. It waits for exactly the processes it started.
final class ProcessKeeper: Sendable {
    static let shared = ProcessKeeper()

    /// How long a program may take to be executed. Only a file system that hangs takes longer.
    static let executionLimit: Duration = .seconds(10)

    /// What to run.
    struct Order: Sendable {
        let directory: String
        /// Absolute path.
        let executable: String
        /// The whole environment.
        let environment: [String]
        var limit = ProcessKeeper.executionLimit
    }

    /// Why nothing was started.
    struct SpawnError: Error, Sendable, Equatable {
        let step: String
        let number: Int32
    }

    private typealias Started = CheckedContinuation<Result<Child, SpawnError>, Never>

    /// A child that has not executed its program yet.
    private struct Birth {
        let child: Child
        let executable: String
        let deadline: ContinuousClock.Instant
        let started: Started
    }

    private enum Request: Sendable {
        case spawn(Order, Started)
        case kill(Child)
    }

    private let requests = Mutex<[Request]>([])
    private let wakeRead: Int32
    private let wakeWrite: Int32

    private init() {
        var ends: [Int32] = [-1, -1]
        let problem = lkd_wake_pipe(&ends)
        precondition(problem == 0, "no pipe for the process keeper: errno \(problem)")
        wakeRead = ends[0]
        wakeWrite = ends[1]
        var thread = pthread_t()
        let context = Unmanaged.passRetained(self)
        let failure = pthread_create(
            &thread, nil,
            { context in
                if let context {
                    Unmanaged<ProcessKeeper>.fromOpaque(context).takeRetainedValue().work()
                }
                return nil
            }, context.toOpaque())
        precondition(failure == 0, "no thread for the process keeper: errno \(failure)")
        pthread_detach(thread)
    }

    /// Starts a process; its descriptors are the caller's from then on. `ETIMEDOUT` means that the program could not be
    /// executed within the order's limit, or that one which could not be is still there.
    func spawn(_ order: Order) async throws(SpawnError) -> Child {
        let result = await withCheckedContinuation { ask(.spawn(order, $0)) }
        return try result.get()
    }

    /// Sends SIGKILL to the process and all of its group, if it still runs.
    func kill(_ child: Child) {
        ask(.kill(child))
    }

    private func ask(_ request: Request) {
        requests.withLock { $0.append(request) }
        var byte: UInt8 = 0
        // A full pipe wakes the thread just as well.
        _ = write(wakeWrite, &byte, 1)
    }

    private func work() {
        lkd_name_thread("lkd-processes")
        var all = sigset_t()
        sigfillset(&all)
        pthread_sigmask(SIG_SETMASK, &all, nil)
        var children: [Child] = []
        var births: [Birth] = []
        // Killed and not gone yet, because the kernel waits for their file system; with their programs.
        var stuck: [(child: Child, executable: String)] = []
        while true {
            wait(for: children, births)
            births.removeAll { birth in
                if birth.child.isDecided {
                    birth.started.resume(returning: birth.child.outcome())
                    return true
                }
                guard ContinuousClock.now >= birth.deadline else { return false }
                birth.child.giveUp()
                stuck.append((birth.child, birth.executable))
                birth.started.resume(returning: .failure(.late))
                return true
            }
            children.removeAll { $0.reapIfEnded() }
            stuck.removeAll { entry in !children.contains { $0 === entry.child } }
            for request in takeRequests() {
                switch request {
                // Each try would leave one more process that cannot be killed.
                case .spawn(let order, let started)
                where stuck.contains { $0.executable == order.executable }:
                    started.resume(returning: .failure(.late))
                case .spawn(let order, let started):
                    do throws(SpawnError) {
                        let child = try Child.start(order)
                        children.append(child)
                        births.append(
                            Birth(
                                child: child, executable: order.executable,
                                deadline: .now + order.limit, started: started))
                    } catch {
                        started.resume(returning: .failure(error))
                    }
                case .kill(let child):
                    if children.contains(where: { $0 === child }) { child.killGroup() }
                }
            }
        }
    }

    private func wait(for children: [Child], _ births: [Birth]) {
        let watched = [wakeRead] + births.map(\.child.status) + children.map(\.pidfd)
        var polled = watched.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        var limit: Int32 = -1
        if let next = births.map(\.deadline).min() {
            // Rounded up, so that the time is over when the poll is.
            limit = Int32(
                clamping: max(0, Int(ContinuousClock.now.duration(to: next) / .milliseconds(1)) + 1)
            )
        }
        poll(&polled, nfds_t(polled.count), limit)
    }

    private func takeRequests() -> [Request] {
        var drain = [UInt8](repeating: 0, count: 64)
        while read(wakeRead, &drain, drain.count) > 0 {}
        return requests.withLock { requests in
            defer { requests = [] }
            return requests
        }
    }
}

/// A process that was started, and how it ended.
final class Child: Sendable {
    /// How a process ended.
    enum Ending: Sendable, Equatable {
        case code(Int32)
        case signal(Int32)
        /// Somebody else has taken the status; a daemon started with SIGCHLD ignored has the kernel do that.
        case untold

        init(waitStatus status: Int32) {
            let signal = status & 0x7F
            self = signal == 0 ? .code((status >> 8) & 0xFF) : .signal(signal)
        }
    }

    let pid: pid_t
    /// Our end of the socket pair; belongs to whoever called `spawn`.
    let channel: Int32
    /// Read end of the pipe of standard error; belongs to whoever called `spawn`.
    let errors: Int32
    /// Comes when the process has ended and was reaped.
    let ended = OneShot<Ending>()

    /// Both belong to the keeper's thread.
    fileprivate let pidfd: Int32
    fileprivate let status: Int32

    private init(_ child: lkd_child) {
        pid = child.pid
        pidfd = child.pidfd
        status = child.status
        channel = child.channel
        errors = child.errors
    }

    /// Makes the process, which has yet to execute its program.
    fileprivate static func start(
        _ order: ProcessKeeper.Order
    ) throws(ProcessKeeper.SpawnError) -> Child {
        var environment = order.environment.map { strdup($0) } + [nil]
        defer { for variable in environment { free(variable) } }
        var child = lkd_child()
        var step: UnsafePointer<CChar>?
        let error = lkd_spawn(
            order.directory, order.executable, &environment, &child, &step)
        guard error == 0 else {
            throw ProcessKeeper.SpawnError(step: step, number: error)
        }
        return Child(child)
    }

    /// Whether the program was executed or could not be.
    fileprivate var isDecided: Bool { isReadable(status) }

    /// The child itself once its program runs. Ask once, and only when it is decided.
    fileprivate func outcome() -> Result<Child, ProcessKeeper.SpawnError> {
        var step: UnsafePointer<CChar>?
        let error = lkd_spawn_outcome(status, &step)
        guard error != 0 else { return .success(self) }
        close(channel)
        close(errors)
        return .failure(ProcessKeeper.SpawnError(step: step, number: error))
    }

    /// Ends a child whose program was not executed in time; it is reaped whenever its file system lets it go.
    fileprivate func giveUp() {
        killGroup()
        for descriptor in [status, channel, errors] { close(descriptor) }
    }

    /// Only while the process has not been reaped, that is on the keeper's thread.
    fileprivate func killGroup() {
        kill(-pid, SIGKILL)
        kill(pid, SIGKILL)
    }

    fileprivate func reapIfEnded() -> Bool {
        guard isReadable(pidfd) else { return false }
        // What the module leaves behind would hold its port; the group's number is its own until it is reaped.
        kill(-pid, SIGKILL)
        var status: Int32 = 0
        let reaped = waitpid(pid, &status, WNOHANG)
        if reaped == 0 { return false }
        close(pidfd)
        ended.fulfil(reaped == pid ? Ending(waitStatus: status) : .untold)
        return true
    }
}

extension ProcessKeeper.SpawnError {
    fileprivate static let late = Self(step: "exec", number: ETIMEDOUT)

    fileprivate init(step: UnsafePointer<CChar>?, number: Int32) {
        self.init(step: step.map { String(cString: $0) } ?? "spawn", number: number)
    }
}

/// Whether there is something to read, or the other end is closed.
private func isReadable(_ descriptor: Int32) -> Bool {
    var polled = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    return poll(&polled, 1, 0) == 1
}
