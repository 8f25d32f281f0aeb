import CPosixShim
import Glibc
import JSONLines
import Logging
import ModuleWire

/// What a module does as a process: its descriptors, its signals, its end.
enum ModuleProcess {
    /// From end of file to the end of the process, a little less than the two seconds the daemon grants.
    static let exitLimit: Duration = .milliseconds(1800)
    /// How long the last replies are given to leave.
    static let flushLimit: Duration = .milliseconds(200)

    /// Exit statuses, as `sysexits.h` numbers them.
    private enum Status {
        /// An internal error: the watchdog had to end the process.
        static let software: Int32 = 70
        /// The operating system refused something at the start.
        static let osError: Int32 = 71
        /// The core broke the protocol.
        static let protocolError: Int32 = 76
    }

    private struct Descriptors {
        let input: Int32
        let output: Int32
        let wakeRead: Int32
        let wakeWrite: Int32
    }

    /// Serves the core on standard input and output until it goes away, then ends the process.
    static func run(
        _ makeService: (ModuleSurroundings) -> any ModuleService
    ) async -> Never {
        guard let descriptors = takeDescriptors() else {
            complain("the standard descriptors cannot be set up: errno \(errno)")
            exit(Status.osError)
        }
        let output = ModuleOutput(descriptor: descriptors.output) {
            wake(descriptors.wakeWrite)
        }
        let threshold = LogThreshold()
        let handler = ModuleLogHandler(output: output, threshold: threshold)
        // What a library logs by itself goes the same way.
        LoggingSystem.bootstrap { _ in handler }
        let surroundings = ModuleSurroundings(
            clock: ContinuousClock(), logger: Logger(label: "module") { _ in handler },
            output: output)
        let server = ModuleServer(
            input: ModuleInput(descriptor: descriptors.input, wake: descriptors.wakeRead),
            output: output, level: threshold, service: makeService(surroundings))
        let ending = await server.serve(noteEnd: armWatchdog)
        await server.shutDown()
        await flush(output)
        exit(status(of: ending))
    }

    /// Moves the protocol to private descriptors, so that whatever a driver or its C library prints cannot get into it:
    /// standard input becomes empty, standard output becomes standard error.
    private static func takeDescriptors() -> Descriptors? {
        let firstPrivate: Int32 = 3
        let input = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, firstPrivate)
        let output = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, firstPrivate)
        let null = open("/dev/null", O_RDWR | O_CLOEXEC)
        guard input >= 0, output >= 0, null >= 0,
            dup2(null, STDIN_FILENO) >= 0, dup2(STDERR_FILENO, STDOUT_FILENO) >= 0
        else { return nil }
        close(null)
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0,
            ends.allSatisfy({
                fcntl($0, F_SETFD, FD_CLOEXEC) == 0 && fcntl($0, F_SETFL, O_NONBLOCK) == 0
            })
        else { return nil }
        signal(SIGPIPE, SIG_IGN)
        guard lkd_wake_on_termination(ends[1]) == 0 else { return nil }
        return Descriptors(input: input, output: output, wakeRead: ends[0], wakeWrite: ends[1])
    }

    private static func wake(_ descriptor: Int32) {
        var byte: UInt8 = 0
        // A full pipe has woken its reader already.
        _ = write(descriptor, &byte, 1)
    }

    /// Ends the process in time even where a driver hangs in C calls, as many as there are threads.
    @Sendable private static func armWatchdog() {
        let isArmed = startThread {
            let (seconds, attoseconds) = exitLimit.components
            var wanted = timespec(tv_sec: Int(seconds), tv_nsec: Int(attoseconds / 1_000_000_000))
            var rest = timespec()
            while nanosleep(&wanted, &rest) != 0, errno == EINTR { wanted = rest }
            complain("a driver did not let go in time")
            _exit(Status.software)
        }
        // Without a thread the kernel's own alarm ends the process.
        if !isArmed { alarm(UInt32(exitLimit.components.seconds)) }
    }

    private static func flush(_ output: ModuleOutput) async {
        let clock = ContinuousClock()
        let deadline = clock.now + flushLimit
        while !output.isEmpty, clock.now < deadline {
            try? await clock.sleep(for: .milliseconds(2))
        }
    }

    private static func status(of ending: ModuleInput.Ending) -> Int32 {
        switch ending {
        case .endOfFile, .told: return 0
        case .overlong, .unread:
            complain("the core broke the protocol: \(ending)")
            return Status.protocolError
        case .failed(let number):
            complain("the protocol line cannot be read: errno \(number)")
            return Status.osError
        }
    }

    private static func complain(_ text: String) {
        let line = Array("module: \(text)\n".utf8)
        _ = line.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }
}

/// Starts a detached thread; false where the system has none left.
func startThread(_ body: @escaping @Sendable () -> Void) -> Bool {
    final class Box: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
    let box = Unmanaged.passRetained(Box(body))
    var thread = pthread_t()
    let result = pthread_create(
        &thread, nil,
        { raw in
            if let raw { Unmanaged<Box>.fromOpaque(raw).takeRetainedValue().body() }
            return nil
        }, box.toOpaque())
    guard result == 0 else {
        box.release()
        return false
    }
    pthread_detach(thread)
    return true
}
