import Foundation
import JSONLines
import Locks
import TestSupport

/// The core's end of a module's line, for tests: a thread reads lines, the test takes them one by one.
final class LinePeer: Sendable {
    private struct State {
        var lines: [String] = []
        var taken = 0
        var isClosed = false
        var isOutputClosed = false
        var isPaused = false
    }

    private let state = Mutex(State())
    private let input: Int32
    private let output: Int32

    /// Reads lines from `input`, writes to `output`; owns both.
    init(input: Int32, output: Int32) {
        self.input = input
        self.output = output
        // Writing to a module that has gone is an answer here, not the end of the test run.
        signal(SIGPIPE, SIG_IGN)
        Thread.detachNewThread { [self] in
            var framer = LineFramer(limit: 1 << 20)
            var chunk = [UInt8](repeating: 0, count: 65536)
            while true {
                while state.withLock({ $0.isPaused }) { usleep(1000) }
                let count = read(input, &chunk, chunk.count)
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { break }
                framer.append(Array(chunk[..<count]))
                while framer.nextLine({ line in
                    let text = String(decoding: line, as: UTF8.self)
                    state.withLock { $0.lines.append(text) }
                }) == .line {}
            }
            state.withLock { $0.isClosed = true }
        }
    }

    deinit {
        close(input)
        if output != input, !state.withLock({ $0.isOutputClosed }) { close(output) }
    }

    /// Two ends of a socket pair, both close-on-exec.
    static func socketPair() throws -> (Int32, Int32) {
        var ends: [Int32] = [-1, -1]
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        guard socketpair(AF_UNIX, type, 0, &ends) == 0 else {
            throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO)
        }
        return (ends[0], ends[1])
    }

    var isClosed: Bool { state.withLock { $0.isClosed } }

    /// Lines that came, whether or not they were taken.
    var count: Int { state.withLock { $0.lines.count } }

    /// Writes all of it; false once the other side has gone.
    @discardableResult
    func send(bytes: [UInt8]) -> Bool {
        bytes.withUnsafeBytes { raw in
            var start = 0
            while start < raw.count {
                let rest = UnsafeRawBufferPointer(rebasing: raw[start...])
                let written = write(output, rest.baseAddress, rest.count)
                if written < 0, errno == EINTR { continue }
                guard written > 0 else { return false }
                start += written
            }
            return true
        }
    }

    @discardableResult
    func send(_ line: String) -> Bool { send(bytes: Array((line + "\n").utf8)) }

    /// Stops reading, at the latest after one more chunk.
    func pause() { state.withLock { $0.isPaused = true } }

    func resume() { state.withLock { $0.isPaused = false } }

    /// Ends the module's input.
    func closeOutput() {
        if output == input {
            shutdown(output, Int32(SHUT_WR))
        } else {
            state.withLock { $0.isOutputClosed = true }
            close(output)
        }
    }

    /// The next line that is not a log line.
    func next(within limit: Duration = .seconds(10)) async throws -> JSON {
        let deadline = ContinuousClock.now + limit
        while true {
            while let line = takeLine() {
                let message = try JSONReader.parse(line)
                if message["method"]?.stringValue != "log" { return message }
            }
            guard ContinuousClock.now < deadline else { throw Timeout(description: "no line came") }
            guard !isClosed || count > state.withLock({ $0.taken }) else {
                throw Timeout(description: "the line was closed")
            }
            try await Task.sleep(for: .milliseconds(1))
        }
    }

    /// Every line so far that was not taken.
    func takeAll() throws -> [JSON] {
        var messages: [JSON] = []
        while let line = takeLine() { messages.append(try JSONReader.parse(line)) }
        return messages
    }

    /// Sends a request and returns what answers it.
    func call(_ id: Int, _ method: String, _ params: JSON = [:]) async throws -> JSON {
        send(request(id, method, params))
        return try await next()
    }

    func request(_ id: Int, _ method: String, _ params: JSON = [:]) -> String {
        let message: JSON = [
            "jsonrpc": "2.0", "id": .int(Int64(id)), "method": .string(method), "params": params,
        ]
        return message.text
    }

    private func takeLine() -> String? {
        state.withLock { state in
            guard state.taken < state.lines.count else { return nil }
            defer { state.taken += 1 }
            return state.lines[state.taken]
        }
    }
}
