import Logging
import NIOCore

/// Stops asking for the next client for a moment when there is no descriptor left for it.
///
/// NIO's own `AcceptBackoffHandler` holds back further reads only, and the one that failed stays registered: the loop would spin.
final class AcceptPause: ChannelInboundHandler {
    typealias InboundIn = Channel

    /// Long enough to cost nothing, short enough that nobody notices.
    private static let pause: TimeAmount = .milliseconds(250)
    private let logger: Logger
    private var isPaused = false

    init(_ logger: Logger) {
        self.logger = logger
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard error is IOError, !isPaused else { return }
        isPaused = true
        logger.warning("no client can be taken for the moment: \(error)")
        let options = context.channel.syncOptions
        try? options?.setOption(.autoRead, value: false)
        let handler = NIOLoopBound(self, eventLoop: context.eventLoop)
        let channel = context.channel
        context.eventLoop.scheduleTask(in: Self.pause) {
            handler.value.isPaused = false
            try? channel.syncOptions?.setOption(.autoRead, value: true)
        }
    }
}
