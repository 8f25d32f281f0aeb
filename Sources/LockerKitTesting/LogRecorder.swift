import Locks
public import Logging

/// Keeps what is logged, for tests that read it.
public final class LogRecorder: Sendable {
    /// One log line.
    public struct Line: Sendable {
        /// How grave it is.
        public let level: Logger.Level
        /// What was said.
        public let message: String
        /// What was added.
        public let metadata: [String: String]
    }

    private let kept = Mutex<[Line]>([])

    /// Makes an empty recorder.
    public init() {}

    /// Everything that was logged so far.
    public var lines: [Line] { kept.withLock { $0 } }

    /// A logger that writes here, from `trace` up.
    public var logger: Logger { Logger(label: "test") { _ in Handler(recorder: self) } }

    private struct Handler: LogHandler {
        let recorder: LogRecorder
        var logLevel = Logger.Level.trace
        var metadata: Logger.Metadata = [:]

        init(recorder: LogRecorder) {
            self.recorder = recorder
        }

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            let all = metadata.merging(event.metadata ?? [:]) { $1 }
            let line = Line(
                level: event.level, message: event.message.description,
                metadata: all.mapValues(\.description))
            recorder.kept.withLock { $0.append(line) }
        }
    }
}
