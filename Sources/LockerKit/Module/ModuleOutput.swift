import CPosixShim
import Dispatch
import Glibc
import JSONLines
import Locks
import ModuleWire

/// The module's end of the line towards the core: whole messages, in the order they were sent, in bounded memory.
///
/// Nobody who sends ever blocks. What the core does not take at once is held and written by a thread of its own; beyond
/// the limit, messages that nobody waits for are dropped and counted, and the reader of requests stops reading.
final class ModuleOutput: Sendable {
    /// Bytes that may wait for the core. A reply that is owed may go beyond it; then no further request is read.
    static let heldLimit = 1024 * 1024

    private struct State {
        /// Not yet handed to the operating system.
        var held: [UInt8] = []
        /// In the writing thread's hands.
        var writing = 0
        var isDraining = false
        var isBroken = false
        var dropped = 0
    }

    private let state = Mutex(State())
    private let descriptor: Int32
    private let isSocket: Bool
    private let queue = DispatchQueue(label: "lockerd.module.output")
    private let room = DispatchSemaphore(value: 0)
    private let onBroken: @Sendable () -> Void

    /// `onBroken` is called once, from any thread, when the core takes no more.
    init(descriptor: Int32, onBroken: @escaping @Sendable () -> Void) {
        self.descriptor = descriptor
        self.onBroken = onBroken
        var status = stat()
        isSocket = fstat(descriptor, &status) == 0 && status.st_mode & S_IFMT == S_IFSOCK
    }

    /// Sends a reply; one that is longer than a line may be becomes an error.
    func reply(_ message: ModuleMessage) {
        var line = message.line
        if line.count > ModuleProtocol.lineLimit, case .result(let id, _) = message {
            let error = LockerError(
                .internal,
                "the reply takes \(line.count) bytes; want at most \(ModuleProtocol.lineLimit)",
                fired: .unknown, sent: .maybe)
            line = ModuleMessage.failure(id: id, error.wire).line
        }
        put(line, mayDrop: false)
    }

    /// Sends something nobody waits for; it is dropped where the core does not keep up.
    func notify(_ notification: ModuleNotification, _ params: JSON) {
        put(
            ModuleMessage.notification(method: notification.rawValue, params: params).line,
            mayDrop: true)
    }

    /// Returns once the core has taken enough for one more request to be read; false when it did not within `limit`.
    func waitForRoom(within limit: DispatchTimeInterval) -> Bool {
        let deadline = DispatchTime.now() + limit
        while state.withLock({ !$0.isBroken && $0.held.count + $0.writing > Self.heldLimit }) {
            guard room.wait(timeout: deadline) == .success else { return false }
        }
        return true
    }

    /// Whether everything sent so far has left.
    var isEmpty: Bool {
        state.withLock { $0.isBroken || ($0.held.isEmpty && $0.writing == 0) }
    }

    private func put(_ line: [UInt8], mayDrop: Bool) {
        let (mustDrain, broke) = state.withLock { state -> (Bool, Bool) in
            guard !state.isBroken else { return (false, false) }
            let isOverLimit =
                state.held.count + state.writing + line.count > Self.heldLimit
            if mayDrop, isOverLimit || line.count > ModuleProtocol.lineLimit {
                state.dropped += 1
                return (false, false)
            }
            var start = 0
            if isSocket, !state.isDraining {
                switch sendNow(line) {
                case .success(let sent): start = sent
                case .failure:
                    state.isBroken = true
                    return (false, true)
                }
            }
            guard start < line.count else { return (false, false) }
            state.held.append(contentsOf: line[start...])
            defer { state.isDraining = true }
            return (!state.isDraining, false)
        }
        if mustDrain { queue.async { self.drain() } }
        if broke { onBroken() }
    }

    private struct Failure: Error {
        let number: Int32
    }

    private func sendNow(_ line: [UInt8]) -> Result<Int, Failure> {
        while true {
            let sent = line.withUnsafeBytes { lkd_send_now(descriptor, $0.baseAddress, $0.count) }
            if sent >= 0 { return .success(sent) }
            switch errno {
            case EINTR: continue
            case EAGAIN: return .success(0)
            default: return .failure(Failure(number: errno))
            }
        }
    }

    /// Writes what is held until nothing is left; runs on the output's own thread, where it may block.
    private func drain() {
        while let batch = nextBatch() {
            guard writeBlocking(batch) else {
                let isNew = state.withLock { state in
                    defer {
                        state.isBroken = true
                        state.held = []
                        state.writing = 0
                    }
                    return !state.isBroken
                }
                room.signal()
                if isNew { onBroken() }
                return
            }
            room.signal()
        }
    }

    private func nextBatch() -> [UInt8]? {
        state.withLock { state in
            state.writing = 0
            if state.dropped > 0 {
                let notice = LogParams(
                    level: "warning",
                    message: "\(state.dropped) messages were dropped: the core did not take them")
                state.held +=
                    ModuleMessage.notification(
                        method: ModuleNotification.log.rawValue, params: notice.json
                    ).line
                state.dropped = 0
            }
            guard !state.held.isEmpty, !state.isBroken else {
                state.isDraining = false
                return nil
            }
            defer { state.held = [] }
            state.writing = state.held.count
            return state.held
        }
    }

    private func writeBlocking(_ bytes: [UInt8]) -> Bool {
        bytes.withUnsafeBytes { raw in
            var start = 0
            while start < raw.count {
                let rest = UnsafeRawBufferPointer(rebasing: raw[start...])
                let written = write(descriptor, rest.baseAddress, rest.count)
                if written >= 0 {
                    start += written
                } else if errno == EAGAIN {
                    var waiting = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                    poll(&waiting, 1, -1)
                } else if errno != EINTR {
                    return false
                }
            }
            return true
        }
    }
}
