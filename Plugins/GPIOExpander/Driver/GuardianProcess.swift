import CoilGuardian
import GPIOLines
import Glibc
import JSONLines
import LockerKit
import Locks

/// Why the guardian did not do what it was told.
enum GuardianFault: Error {
    /// It said why.
    case refused(GPIOFailure, mayBeOn: Bool)
    /// A line cannot be switched off; it goes on trying.
    case stuck(GPIOFailure)
    /// It is not there any more, or talks nonsense.
    case dead(String)
    /// It did not answer in time.
    case silent
}

/// A pulse that is over.
struct Fired {
    /// How long the line was on.
    let length: Duration
    /// Whether it was read meanwhile and was on; nil where nobody looked.
    let isSeen: Bool?
}

/// The second process that switches lines on and off for this one; see ``Guardian``.
///
/// Calls block, so they belong on a ``DeviceQueue``, one at a time. Only ``cut()`` may come from anywhere.
final class GuardianProcess: Sendable {
    /// How long an answer may take that waits for nothing but an expander behind a slow bus.
    static let answerLimit: Duration = .seconds(1)
    /// The same while it may still be starting, on a machine that has just started itself. Less than the core gives a read.
    static let startLimit: Duration = .seconds(4)

    /// POSIX_SPAWN_SETSID of <spawn.h>, which does not reach Swift.
    private static let inOwnSession: Int16 = 0x80

    private struct State {
        var lastID = 0
        var framer = LineFramer(limit: longestMessage)
        var isDead = false
    }

    let pid: pid_t
    private let socket: Int32
    private let state = Mutex(State())

    /// Starts it. Nothing is energised by that.
    init(program: String) throws(GuardianFault) {
        var ends: [Int32] = [-1, -1]
        let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        guard socketpair(AF_UNIX, kind, 0, &ends) == 0 else {
            throw .dead("no socket for it: \(String(cString: strerror(errno)))")
        }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, ends[1], STDIN_FILENO)
        posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // A session of its own from its first moment: the core ends a module together with its group.
        posix_spawnattr_setflags(
            &attributes, Self.inOwnSession | Int16(POSIX_SPAWN_SETSIGMASK))
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        var words: [UnsafeMutablePointer<CChar>?] = [strdup(program), nil]
        defer { for word in words { free(word) } }
        var environment: [UnsafeMutablePointer<CChar>?] = [nil]
        var pid = pid_t()
        let problem = posix_spawn(&pid, program, &actions, &attributes, &words, &environment)
        close(ends[1])
        guard problem == 0 else {
            close(ends[0])
            throw .dead("\(program) cannot be started: \(String(cString: strerror(problem)))")
        }
        self.pid = pid
        socket = ends[0]
    }

    deinit {
        // The end of its input: it switches off, lets go and ends. Somebody has to take note of that.
        close(socket)
        let ended = pid
        reap(ended)
    }

    var isAlive: Bool {
        guard !state.withLock({ $0.isDead }) else { return false }
        var polled = pollfd(fd: socket, events: 0, revents: 0)
        return poll(&polled, 1, 0) == 0
    }

    /// Ends it at once; the kernel lets go of its lines, as they are.
    func kill() {
        state.withLock { $0.isDead = true }
        _ = Glibc.kill(pid, SIGKILL)
        shutdown(socket, Int32(SHUT_RDWR))
    }

    /// Gives an order and returns the first answer to it.
    func ask(
        _ what: Order.What, bank: Int, within limit: Duration = answerLimit
    ) throws(GuardianFault) -> Answer.What {
        try answer(to: try send(what, bank: bank), within: limit)
    }

    /// Switches the line on, and returns when it is off again.
    ///
    /// - Parameter isOn: called once the line is on.
    func pulse(
        line: Int, bank: Int, length: Duration, isOn: () -> Void
    ) throws(GuardianFault) -> Fired {
        let id = try send(.pulse(line: line, length: length), bank: bank)
        guard case .on = try answer(to: id, within: Self.answerLimit) else {
            throw .dead("it answers what nobody asked")
        }
        isOn()
        guard
            case .off(let taken, let isSeen) = try answer(to: id, within: length + Self.answerLimit)
        else {
            throw .dead("it answers what nobody asked")
        }
        return Fired(length: taken, isSeen: isSeen)
    }

    /// Ends all pulses of the bank now; from any thread.
    func cut(bank: Int) { _ = try? send(.off, bank: bank) }

    private func send(_ what: Order.What, bank: Int) throws(GuardianFault) -> Int {
        let id = state.withLock { state in
            state.lastID = state.lastID % Int(Int32.max) + 1
            return state.lastID
        }
        let line = Order(id: id, bank: bank, what).json.encoded + [0x0A]
        let flags = Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL)
        // One call for a line: two threads may write.
        let sent = line.withUnsafeBytes { Glibc.send(socket, $0.baseAddress, $0.count, flags) }
        guard sent == line.count else { throw .dead("it does not take orders") }
        return id
    }

    /// The next answer to the order with this number; what belongs to others is thrown away: nobody waits for it any more.
    private func answer(to id: Int, within limit: Duration) throws(GuardianFault) -> Answer.What {
        let end = ContinuousClock.now + limit
        while true {
            while let answer = try nextAnswer() {
                guard answer.id == id else { continue }
                switch answer.what {
                case .failed(let failure, let mayBeOn):
                    throw .refused(failure, mayBeOn: mayBeOn)
                case .stuck(let failure): throw .stuck(failure)
                default: return answer.what
                }
            }
            try receive(until: end)
        }
    }

    private func nextAnswer() throws(GuardianFault) -> Answer? {
        var found: Answer?
        let outcome = state.withLock { state in
            state.framer.nextLine { line in
                guard let json = try? JSONReader.parse(line) else { return }
                found = try? Answer(json: json)
            }
        }
        switch outcome {
        case .needsMore: return nil
        case .line:
            guard let found else { throw .dead("it answers nonsense") }
            return found
        case .overlong: throw .dead("it answers nonsense")
        }
    }

    private func receive(until end: ContinuousClock.Instant) throws(GuardianFault) {
        let left = ContinuousClock.now.duration(to: end)
        guard left > .zero else { throw .silent }
        var polled = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
        let milliseconds = Int32(clamping: left.microseconds / 1000 + 1)
        guard poll(&polled, 1, milliseconds) > 0 else { return }
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = recv(socket, &bytes, bytes.count, Int32(MSG_DONTWAIT))
        if count > 0 {
            state.withLock { state in
                bytes.withUnsafeBytes {
                    state.framer.append(UnsafeRawBufferPointer(rebasing: $0[..<count]))
                }
            }
            return
        }
        guard count < 0, errno == EAGAIN || errno == EINTR else {
            state.withLock { $0.isDead = true }
            throw .dead("it is gone")
        }
    }
}

/// Waits for the end of a process without keeping anybody: one that cannot switch off a line takes as long as it takes.
private func reap(_ pid: pid_t) {
    guard waitpid(pid, nil, WNOHANG) == 0 else { return }
    Task.detached {
        while waitpid(pid, nil, WNOHANG) == 0 {
            try? await Task.sleep(for: .milliseconds(50))
        }
    }
}
