import JSONLines
import Locks
import Logging
import ModuleWire

/// The lowest level that is sent; the core sets it in `hello`.
final class LogThreshold: Sendable {
    private let level = Mutex(Logger.Level.info)

    var current: Logger.Level { level.withLock { $0 } }

    func set(_ new: Logger.Level) { level.withLock { $0 = new } }
}

/// Sends log lines to the core as `log` notifications.
struct ModuleLogHandler: LogHandler {
    /// Bytes kept of a message.
    static let messageLimit = 1024
    /// Bytes kept of one value of the metadata.
    static let valueLimit = 256
    /// Members kept of the metadata, by name.
    static let metadataLimit = 16

    private let output: ModuleOutput
    private let threshold: LogThreshold
    private var ownLevel: Logger.Level?
    var metadata: Logger.Metadata = [:]
    var metadataProvider: Logger.MetadataProvider?

    init(output: ModuleOutput, threshold: LogThreshold) {
        self.output = output
        self.threshold = threshold
    }

    var logLevel: Logger.Level {
        get { ownLevel ?? threshold.current }
        set { ownLevel = newValue }
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var all = metadata
        if let provided = metadataProvider?.get() { all.merge(provided) { $1 } }
        if let given = event.metadata { all.merge(given) { $1 } }
        let kept = all.sorted { $0.key < $1.key }.prefix(Self.metadataLimit)
        let params = LogParams(
            level: event.level.rawValue,
            message: Self.cut(event.message.description, to: Self.messageLimit),
            metadata: kept.map { ($0.key, Self.cut($0.value.description, to: Self.valueLimit)) })
        output.notify(.log, params.json)
    }

    /// The text, or as many whole characters of it as fit, with an ellipsis.
    static func cut(_ text: String, to limit: Int) -> String {
        guard text.utf8.count > limit else { return text }
        var kept = ""
        var bytes = 0
        for character in text {
            bytes += character.utf8.count
            // The ellipsis takes three bytes.
            guard bytes <= limit - 3 else { break }
            kept.append(character)
        }
        return kept + "…"
    }
}
