import LockerKit
import Locks
import Logging
import NIOCore

/// Copies what one module says, on standard error or by `log`, to the daemon's log at a bounded rate.
final class ModuleLog: Sendable {
    private struct State {
        var rate: RateLimit
        var lastErrorLine: String?
    }

    let logger: Logger
    private let clock: any MonotonicClock
    private let state: Mutex<State>
    /// Comes when standard error has ended.
    let errorsEnded = OneShot<Void>()

    init(logger: Logger, clock: any MonotonicClock) {
        self.logger = logger
        self.clock = clock
        state = Mutex(
            State(
                rate: RateLimit(
                    burst: ModuleLimits.logBurst, perSecond: ModuleLimits.logLinesPerSecond,
                    at: clock.now)))
    }

    /// What the module printed last on standard error; a program that traps says why there. The stack that a Swift trap
    /// prints after its "Fatal error" does not replace it.
    var lastErrorLine: String? { state.withLock { $0.lastErrorLine } }

    func errorLine(_ line: String) {
        state.withLock { state in
            if state.lastErrorLine?.contains(": Fatal error: ") != true {
                state.lastErrorLine = line
            }
        }
        copy(.info, line)
    }

    func copy(_ level: Logger.Level, _ message: String, metadata: [String: String] = [:]) {
        let now = clock.now
        guard let leftOut = state.withLock({ $0.rate.admit(at: now) }) else { return }
        if leftOut > 0 {
            logger.warning("\(leftOut) lines of the module were left out; it logs too much")
        }
        logger.log(
            level: level, "\(message)",
            metadata: metadata.isEmpty ? nil : metadata.mapValues { .string($0) })
    }
}

/// Reads a module's standard error.
final class ErrorLinesHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let log: ModuleLog
    private var lines = LogLines()

    init(_ log: ModuleLog) {
        self.log = log
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        unwrapInboundIn(data).withUnsafeReadableBytes { lines.append($0, log.errorLine) }
    }

    func channelInactive(context: ChannelHandlerContext) {
        lines.finish(log.errorLine)
        log.errorsEnded.fulfil(())
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }
}
